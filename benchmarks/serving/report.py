"""Summary of measurements, and evaluation of performance goals."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.serving.rounds import Measurement, Rounds

Direction = Literal[">=", "<="]


@dataclass(frozen=True)
class SubjectSummary:
    """Medians over the rounds of one subject, and the range of its throughput."""

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
    """Performance goal and its value; ``lowest`` and ``highest`` are the range over single rounds."""

    name: str
    value: float
    limit: float
    direction: Direction
    unit: str
    lowest: float
    highest: float

    @property
    def met(self) -> bool:
        """Return True when the value is within the limit."""
        return self.value >= self.limit if self.direction == ">=" else self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        """Convert the goal to JSON.

        Returns:
            All fields and ``met``.
        """
        return asdict(self) | {"met": self.met}


def summarize(measurements: Sequence[Measurement]) -> SubjectSummary:
    """Summarize the rounds of one subject.

    Args:
        measurements: One measurement per round.

    Returns:
        Sum of the errors, medians of the other values.
    """
    loads = [measurement.load for measurement in measurements]
    rates = [load.requests_per_second for load in loads]
    return SubjectSummary(
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


def summarize_rounds(rounds: Rounds) -> dict[str, dict[str, SubjectSummary]]:
    """Summarize the rounds of all subjects.

    Args:
        rounds: All measurements.

    Returns:
        Name to number of connections to summary.
    """
    table: dict[str, dict[str, SubjectSummary]] = {}
    for (name, connections), measurements in rounds.items():
        table.setdefault(name, {})[str(connections)] = summarize(measurements)
    return table


class GoalEvaluator:
    """Evaluation of goals from medians over rounds; a subject that was not measured gives no goal.

    Args:
        rounds: All measurements.

    Attributes:
        all: Evaluated goals.
    """

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self.all: list[Goal] = []

    def add_ratio(
        self,
        name: str,
        numerator: tuple[str, int],
        denominator: tuple[str, int],
        direction: Direction,
        limit: float,
        metric: Literal["requests_per_second", "p50_ms"] = "requests_per_second",
    ) -> None:
        """Add a goal for the ratio of a metric of two subjects, which are measured shortly after each other.

        Args:
            name: Name of the goal.
            numerator: Name and connections of the first subject.
            denominator: Name and connections of the second subject.
            direction: Direction of the limit.
            limit: Limit of the ratio.
            metric: Field of a load.
        """
        if numerator not in self._rounds or denominator not in self._rounds:
            return
        above, below = (
            [getattr(item.load, metric) for item in self._rounds[subject]] for subject in (numerator, denominator)
        )
        singles = [a / b for a, b in zip(above, below, strict=True)]
        self._add(name, median(above) / median(below), limit, direction, "x", singles)

    def add_tail(self, name: str, subject: tuple[str, int], limit: float) -> None:
        """Add a goal for p99 divided by p50.

        Args:
            name: Name of the goal.
            subject: Name and connections of the subject.
            limit: Upper limit of the ratio.
        """
        loads = [item.load for item in self._rounds.get(subject, [])]
        if loads:
            singles = [load.p99_ms / load.p50_ms for load in loads]
            value = median(load.p99_ms for load in loads) / median(load.p50_ms for load in loads)
            self._add(name, value, limit, "<=", "x", singles)

    def add_throughput(self, name: str, subject: tuple[str, int], items: int, limit: float, unit: str) -> None:
        """Add a goal for the throughput.

        Args:
            name: Name of the goal.
            subject: Name and connections of the subject.
            items: Number of items per request.
            limit: Lower limit of the items per second.
            unit: Unit for the report.
        """
        if subject in self._rounds:
            rates = [item.load.requests_per_second * items for item in self._rounds[subject]]
            self._add(name, median(rates), limit, ">=", unit, rates)

    def add_median(self, name: str, values: Sequence[float], direction: Direction, limit: float, unit: str) -> None:
        """Add a goal for the median of separately measured values.

        Args:
            name: Name of the goal.
            values: Measured values.
            direction: Direction of the limit.
            limit: Limit of the median.
            unit: Unit for the report.
        """
        if values:
            self._add(name, median(values), limit, direction, unit, values)

    def _add(
        self,
        name: str,
        value: float,
        limit: float,
        direction: Direction,
        unit: str,
        singles: Sequence[float],
    ) -> None:
        self.all.append(
            Goal(name, round(value, 3), limit, direction, unit, round(min(singles), 3), round(max(singles), 3))
        )
