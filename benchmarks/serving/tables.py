"""The result for people."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.serving.report import Goal, Line

_BUSY = 0.25


def show(console: Console, result: dict[str, Any], table: dict[str, dict[str, Line]], told: Sequence[Goal]) -> None:
    """Two tables, and what limits their worth."""
    console.print(_measured(table))
    if told:
        console.print(_goals(told))
    for remark in _remarks(result, table):
        console.print(remark, soft_wrap=True)


def _measured(table: dict[str, dict[str, Line]]) -> Table:
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    shown.add_column("", no_wrap=True)
    for name in ("conns", "requests/s", "rounds", "p50 ms", "p99 ms", "errors"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name, by_connections in table.items():
        for i, (connections, line) in enumerate(by_connections.items()):
            shown.add_row(
                "" if i else name,
                connections,
                _number(line.requests_per_second),
                _spread(line.requests_per_second_lowest, line.requests_per_second_highest),
                f"{line.p50_ms:.2f}",
                f"{line.p99_ms:.2f}",
                str(line.errors),
            )
    return shown


def _goals(told: Sequence[Goal]) -> Table:
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    shown.add_column("Goal")
    for name in ("limit", "value", "rounds", "met"):
        shown.add_column(name, justify="right", no_wrap=True)
    for goal in told:
        limit = f"{goal.direction} {_number(goal.limit)}"
        met = "yes" if goal.met else "NO"
        shown.add_row(goal.name, limit, _number(goal.value), _spread(goal.lowest, goal.highest), met)
    return shown


def _spread(lowest: float, highest: float) -> str:
    return f"{_number(lowest)}-{_number(highest)}"


def _number(value: float) -> str:
    return f"{value:,.{0 if abs(value) >= 100 else 2}f}"


def _remarks(result: dict[str, Any], table: dict[str, dict[str, Line]]) -> list[str]:
    everything = [line for by_connections in table.values() for line in by_connections.values()]
    generator = result["generator"]
    at_most = generator["requests_per_second_at_most"]
    remarks = [f"Requests by {generator['name']}, which alone manages {at_most:,} per second here."]
    if max(line.requests_per_second for line in everything) > at_most / 2:
        remarks.append("The generator is near its limit: the fastest servers may be faster than this says.")
    if (others := max(line.others_cores for line in everything)) > _BUSY:
        remarks.append(f"The machine was busy with other work (up to {others:.1f} cores in the median round).")
    return remarks
