"""Rule of a gate: kind, limit, meaning, and measurement from the evidence.

A measurement is the value, None if the gate does not apply, and a text with the details. A missing item of evidence
raises NotComputedError. A limit is compared with the near end of an interval: a version fails what it surely misses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable, require
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.evaluation_report import Interval, SliceResult

Direction = Literal["at least", "above", "at most"]
GateKind = Literal["safety", "merit"]
IntervalEnd = Literal["low", "high"]
Measurement = tuple[float | None, str]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class GateRule:
    """Rule of one gate.

    Attributes:
        kind: ``safety`` holds for every version; ``merit`` compares the version with what else could be served.
        direction: Position of a passing value, relative to the threshold.
        threshold: Function from the settings to the threshold.
        measure: Function from the evidence and the settings of the model's kind to the measurement.
        meaning: What a failure means.
        setting: Threshold of GateSettings that moves the limit; None for a fixed limit.
        remedy: What to do where the limit is fixed.
        of_first: Whether the gate is required of the first model of a shop: it needs safety, and to be the best of
            what can be served.
        of_constant: Whether the gate is required of the base rate, which ranks no customer.
    """

    name: str
    kind: GateKind
    direction: Direction
    threshold: Callable[[Any], float]
    measure: Callable[[Any, Any], Measurement]
    meaning: str
    setting: str | None = None
    remedy: str = ""
    of_first: bool = True
    of_constant: bool = True


def measure_interval_end(interval: Interval | Unavailable, end: IntervalEnd, label: str, note: str = "") -> Measurement:
    """Return the end of a 95% interval that the gate compares, and the whole interval as text.

    Args:
        interval: Interval of the measured quantity.
        end: End that the gate compares.
        label: Name of the quantity.
        note: Text after the interval.

    Returns:
        The measurement.

    Raises:
        NotComputedError: The interval is unavailable.
    """
    known = require(interval)
    return known.low if end == "low" else known.high, f"{label} {known}{note}"


def require_item(mapping: Mapping[str, _Item], name: str) -> _Item:
    """Require an item of the evaluation.

    Args:
        mapping: Items by name.
        name: Name of the item.

    Returns:
        The item.

    Raises:
        NotComputedError: The evaluation lacks the item.
    """
    if name not in mapping:
        raise NotComputedError(f"the evaluation has no {name}")
    return mapping[name]


def split_slices(evidence: Evidence, settings: GateSettings) -> tuple[dict[str, SliceResult], list[str]]:
    """Split the customer groups by size.

    Args:
        evidence: Evidence about the version.
        settings: Settings with the rows of a large group.

    Returns:
        The large groups by name, and the names of the small ones.
    """
    slices = {f"{item.feature}: {item.label}": item for item in require(evidence.evaluation).slices}
    large = {name: item for name, item in slices.items() if item.rows >= settings.min_slice_rows}
    return large, [name for name in slices if name not in large]


def describe_skipped(names: list[str]) -> str:
    """Describe the customer groups that are too small to evaluate.

    Args:
        names: Names of the groups.

    Returns:
        End of a sentence; "" without such groups.
    """
    return f"; too small to evaluate: {', '.join(names)}" if names else ""
