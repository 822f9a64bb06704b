"""Report of a reproduction, for the terminal."""

from rich.markup import escape

from holdfast.lineage.reproduction import Reproduction
from holdfast.models.contract import MODEL_NAME


def format_reproduction(result: Reproduction, seconds: float) -> str:
    """Format the verdict in one line, then the differences, first cause first.

    Args:
        result: Result of the reproduction.
        seconds: Its duration.

    Returns:
        Text with rich's markup.
    """
    label = f"{MODEL_NAME} version {result.version}"
    if result.identical:
        lines = [
            f"[green]✓[/green] {label} reproduced in {seconds:.0f} s: all {result.rows:,} test predictions, and the "
            "rows, labels and inputs behind them, are bit-identical"
        ]
        lines += ["  These differ without an effect:"] if result.differences else []
    else:
        lines = [f"[red]✗[/red] {label} was not reproduced. Differences, first cause first:"]
    lines += [f"  {item.part:<20}{escape(item.detail)}" for item in result.differences]
    if not result.identical:
        lines += [f"  {advice}" for advice in dict.fromkeys(item.advice for item in result.differences) if advice]
    if result.unused_batches:
        unused = ", ".join(result.unused_batches)
        lines.append(f"  [dim]not used: {unused}, on disk but not part of the lineage[/dim]")
    return "\n".join(lines)
