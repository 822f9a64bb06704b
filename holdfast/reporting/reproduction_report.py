"""What came of a reproduction, for the terminal."""

from rich.markup import escape

from holdfast.lineage.reproduction import Reproduction
from holdfast.models.contract import MODEL_NAME


def format_reproduction(result: Reproduction, seconds: float) -> str:
    """The verdict in one line, then where they part, the first cause first."""
    about = f"{MODEL_NAME} version {result.version}"
    if result.identical:
        lines = [
            f"[green]✓[/green] {about} made again in {seconds:.0f} s: all {result.rows:,} test predictions, and the "
            "rows, labels and inputs behind them, are the same to the last bit"
        ]
        lines += ["  although these differ:"] if result.differences else []
    else:
        lines = [f"[red]✗[/red] {about} was not made again; it parts here, the first cause first:"]
    lines += [f"  {item.where:<15}{escape(item.what)}" for item in result.differences]
    if not result.identical:
        lines += [f"  {advice}" for advice in dict.fromkeys(item.advice for item in result.differences) if advice]
    if result.left_out:
        lines.append(f"  [dim]left out: {', '.join(result.left_out)}, on disk but not of its lineage[/dim]")
    return "\n".join(lines)
