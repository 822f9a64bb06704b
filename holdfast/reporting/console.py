"""Console output of the gates and of a reproduction."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from holdfast.core.formatting import format_count
from holdfast.models.declaration import model_option
from holdfast.promotion.gates import GATE_COLUMNS, describe_verdict
from holdfast.reporting.flow_results import GatesResult

if TYPE_CHECKING:
    from holdfast.lineage.reproduction import Reproduction

_STYLES = {"failed": "bold red", "not applicable": "dim"}


def print_gates(result: GatesResult) -> None:
    """Print a table of the gates, the verdict and the next step.

    Args:
        result: The result of the gates flow.
    """
    console = Console(highlight=False)
    table = Table(*GATE_COLUMNS, box=None)
    for gate in result.gates:
        table.add_row(*gate.cells, style=_STYLES.get(gate.verdict))
    console.print(table)
    promote = (
        f" It is the challenger: `python -m flows.promote --version {result.version}{model_option(result.model_name)}`"
    )
    notes = f"{promote if result.challenger else ''} {result.unrecorded}".rstrip()
    for warning in result.warnings:
        console.print(f"\n[yellow]Warning:[/yellow] {escape(warning)}")
    console.print(f"\nVersion {result.version} {describe_verdict(result.failed)}.{notes}")


def format_reproduction(result: "Reproduction", model_name: str, seconds: float) -> str:
    """Format the verdict in one line, then the differences, first cause first.

    Args:
        result: Result of the reproduction.
        model_name: Name of the registered model.
        seconds: Its duration.

    Returns:
        Text with rich's markup.
    """
    label = f"{model_name} version {result.version}"
    if result.identical:
        lines = [
            f"[green]✓[/green] {label} reproduced in {seconds:.0f} s: all "
            f"{format_count(result.rows, 'test prediction')}, and the rows, labels and inputs behind them, are "
            "bit-identical"
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
