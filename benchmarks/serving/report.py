"""From measurements to numbers, and from numbers to goals."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.serving.load import Load
from benchmarks.serving.rounds import Measurement, Rounds


@dataclass(frozen=True)
class Line:
    """The median round of one subject, and the spread of its rounds."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    requests_per_second_lowest: float
    requests_per_second_highest: float
    rounds: int
    cpu_ms_per_request: float
    others_cores: float


@dataclass(frozen=True)
class Goal:
    """A number that was promised. ``lowest`` and ``highest`` are those of single rounds."""

    name: str
    value: float
    limit: float
    direction: Literal[">=", "<="]
    unit: str
    lowest: float
    highest: float

    @property
    def met(self) -> bool:
        """Whether the value keeps the limit."""
        return self.value >= self.limit if self.direction == ">=" else self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        """All of it, and whether it is met."""
        return asdict(self) | {"met": self.met}


def line(measurements: Sequence[Measurement]) -> Line:
    """Errors are summed; everything else is the median."""
    loads = [measurement.load for measurement in measurements]
    rates = [load.requests_per_second for load in loads]
    return Line(
        requests_per_second=round(median(rates), 1),
        p50_ms=round(median(load.p50_ms for load in loads), 3),
        p99_ms=round(median(load.p99_ms for load in loads), 3),
        errors=sum(load.errors for load in loads),
        requests_per_second_lowest=round(min(rates), 1),
        requests_per_second_highest=round(max(rates), 1),
        rounds=len(loads),
        cpu_ms_per_request=round(median(measurement.cpu_ms for measurement in measurements), 4),
        others_cores=round(median(measurement.others_cores for measurement in measurements), 2),
    )


def lines(found: Rounds) -> dict[str, dict[str, Line]]:
    """Name, then number of connections."""
    table: dict[str, dict[str, Line]] = {}
    for (name, connections), measurements in found.items():
        table.setdefault(name, {})[str(connections)] = line(measurements)
    return table


def rate(load: Load) -> float:
    """Requests per second."""
    return load.requests_per_second


def p50(load: Load) -> float:
    """Median latency, milliseconds."""
    return load.p50_ms


class Goals:
    """Compares subjects: the ratio of their median rounds, beside the ratios of the single rounds.

    A subject that was not measured gives no goal.
    """

    def __init__(self, found: Rounds) -> None:
        self._found = found
        self.all: list[Goal] = []

    def ratio(
        self,
        name: str,
        upper: tuple[str, int],
        lower: tuple[str, int],
        direction: Literal[">=", "<="],
        limit: float,
        of: Callable[[Load], float] = rate,
    ) -> None:
        """Of one quantity of two subjects, measured shortly after each other in each round."""
        if upper not in self._found or lower not in self._found:
            return
        above, below = ([of(item.load) for item in self._found[key]] for key in (upper, lower))
        singles = [a / b for a, b in zip(above, below, strict=True)]
        self._add(name, median(above) / median(below), limit, direction, "x", singles)

    def tail(self, name: str, of: tuple[str, int], limit: float) -> None:
        """p99 over p50."""
        loads = [item.load for item in self._found.get(of, [])]
        if loads:
            singles = [load.p99_ms / load.p50_ms for load in loads]
            value = median(load.p99_ms for load in loads) / median(load.p50_ms for load in loads)
            self._add(name, value, limit, "<=", "x", singles)

    def throughput(self, name: str, of: tuple[str, int], each: int, limit: float, unit: str) -> None:
        """Requests per second times what each request holds."""
        if of in self._found:
            rates = [item.load.requests_per_second * each for item in self._found[of]]
            self._add(name, median(rates), limit, ">=", unit, rates)

    def number(
        self, name: str, values: Sequence[float], direction: Literal[">=", "<="], limit: float, unit: str
    ) -> None:
        """The median of some values of which each was measured by itself."""
        if values:
            self._add(name, median(values), limit, direction, unit, values)

    def _add(
        self,
        name: str,
        value: float,
        limit: float,
        direction: Literal[">=", "<="],
        unit: str,
        singles: Sequence[float],
    ) -> None:
        self.all.append(
            Goal(name, round(value, 3), limit, direction, unit, round(min(singles), 3), round(max(singles), 3))
        )
