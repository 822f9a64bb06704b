"""Gates in order, each with value, threshold and verdict."""

import math
import re
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from holdfast.model_versions.evidence import Evidence, NotComputedError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gate_rules import Direction, GateRule, list_gate_rules

Verdict = Literal["passed", "failed", "not applicable"]
GATE_COLUMNS = ("gate", "value", "required", "verdict", "measurement")


class GateResult(BaseModel):
    """Result of one gate.

    Attributes:
        value: Value of the gate; None if it could not be computed, which fails, or does not apply.
        detail: Details of the value, or the reason why there is none.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    value: float | None
    threshold: float
    direction: Direction
    verdict: Verdict
    detail: str

    @property
    def slug(self) -> str:
        """Return the name as part of a metric name."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table row, by ``GATE_COLUMNS``."""
        value = "—" if self.value is None else f"{self.value:.4g}"
        return self.name, value, f"{self.direction} {self.threshold:g}", self.verdict, self.detail


def describe_verdict(failed: Sequence[str]) -> str:
    """Describe the verdict of the gates.

    Args:
        failed: Names of the failed gates.

    Returns:
        The predicate of a sentence about the version.
    """
    return f"failed {', '.join(failed)}" if failed else "passed every gate"


def evaluate_gates(evidence: Evidence, settings: GateSettings) -> list[GateResult]:
    """Evaluate every gate; a version passes if no gate fails.

    Args:
        evidence: Evidence about the version.
        settings: Gate settings.

    Returns:
        Results in gate order.
    """
    return [_evaluate(rule, evidence, settings) for rule in list_gate_rules()]


def _evaluate(rule: GateRule, evidence: Evidence, settings: GateSettings) -> GateResult:
    threshold = rule.threshold(settings)
    verdict: Verdict
    try:
        value, detail = rule.measure(evidence, settings)
        if value is not None and not math.isfinite(value):
            raise NotComputedError(f"{detail or 'its value'} has no interval")
    except NotComputedError as error:
        value, detail, verdict = None, f"could not be computed: {error}", "failed"
    else:
        verdict = "not applicable" if value is None else _compare(value, rule.direction, threshold)
    return GateResult(
        name=rule.name, value=value, threshold=threshold, direction=rule.direction, verdict=verdict, detail=detail
    )


def _compare(value: float, direction: Direction, threshold: float) -> Verdict:
    passes = {"at least": value >= threshold, "above": value > threshold, "at most": value <= threshold}
    return "passed" if passes[direction] else "failed"
