"""Tables of the result."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.serving.report import Goal, SubjectSummary

_BUSY = 0.25


def print_result(
    console: Console, result: dict[str, Any], table: dict[str, dict[str, SubjectSummary]], goals: Sequence[Goal]
) -> None:
    """Print the measurements, the goals, and remarks on their accuracy.

    Args:
        console: Terminal.
        result: Result of the benchmark as JSON.
        table: Name to number of connections to summary.
        goals: Evaluated goals.
    """
    console.print(_measurements_table(table))
    if goals:
        console.print(_goals_table(goals))
    for remark in _remarks(result, table):
        console.print(remark, soft_wrap=True)


def _measurements_table(table: dict[str, dict[str, SubjectSummary]]) -> Table:
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    shown.add_column("", no_wrap=True)
    for name in ("conns", "requests/s", "rounds", "p50 ms", "p99 ms", "errors"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name, by_connections in table.items():
        for i, (connections, summary) in enumerate(by_connections.items()):
            shown.add_row(
                "" if i else name,
                connections,
                _number(summary.requests_per_second),
                _spread(summary.requests_per_second_lowest, summary.requests_per_second_highest),
                f"{summary.p50_ms:.2f}",
                f"{summary.p99_ms:.2f}",
                str(summary.errors),
            )
    return shown


def _goals_table(goals: Sequence[Goal]) -> Table:
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    shown.add_column("Goal")
    for name in ("limit", "value", "rounds", "met"):
        shown.add_column(name, justify="right", no_wrap=True)
    for goal in goals:
        limit = f"{goal.direction} {_number(goal.limit)}"
        met = "yes" if goal.met else "NO"
        shown.add_row(goal.name, limit, _number(goal.value), _spread(goal.lowest, goal.highest), met)
    return shown


def _spread(lowest: float, highest: float) -> str:
    return f"{_number(lowest)}-{_number(highest)}"


def _number(value: float) -> str:
    return f"{value:,.{0 if abs(value) >= 100 else 2}f}"


def _remarks(result: dict[str, Any], table: dict[str, dict[str, SubjectSummary]]) -> list[str]:
    summaries = [summary for by_connections in table.values() for summary in by_connections.values()]
    generator = result["generator"]
    at_most = generator["requests_per_second_at_most"]
    remarks = [f"Load generator: {generator['name']}, at most {at_most:,} requests per second on this machine."]
    if max(summary.requests_per_second for summary in summaries) > at_most / 2:
        remarks.append("The load generator is near its limit: the fastest servers may be faster than measured.")
    if (others := max(summary.others_cores for summary in summaries)) > _BUSY:
        remarks.append(f"Other processes used the machine (up to {others:.1f} cores in the median round).")
    return remarks
