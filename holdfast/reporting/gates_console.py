"""Console output of the gates."""

from rich.console import Console
from rich.table import Table

from holdfast.reporting.flow_results import GatesResult, describe_verdict

_STYLES = {"passed": "green", "failed": "bold red"}


def print_gates(result: GatesResult) -> None:
    """Print a table of the gates, the verdict and the next step.

    Args:
        result: The result of the gates flow.
    """
    console = Console(highlight=False)
    table = Table("gate", "value", "wanted", "verdict", "detail", box=None)
    for gate in result.gates:
        style = _STYLES.get(gate.verdict, "dim")
        table.add_row(gate.name, gate.value_text, gate.threshold_text, f"[{style}]{gate.verdict}[/]", gate.detail)
    console.print(table)
    verdict = describe_verdict([gate.name for gate in result.failed])
    promote = f" It is the challenger: `python -m flows.promote --version {result.version}`"
    console.print(f"\nVersion {result.version} {verdict}.{promote if result.challenger else ''}")
