"""Gates in order, each with value, threshold and verdict."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable
from holdfast.model_versions.gate_settings import GateSettings, GateThresholds
from holdfast.promotion.gate_rules import Direction, GateKind, GateRule
from holdfast.promotion.merit_gates import list_merit_rules
from holdfast.promotion.safety_gates import list_safety_rules
from holdfast.training.evaluation_report import Evaluation
from holdfast.training.level import find_level_warning
from holdfast.training.recipe import BASE_RATE

_CONSTANT = (
    "The version is the base rate: one probability for all customers, by request (--serve base-rate). It ranks "
    "no customer, and the same decision applies to every customer."
)
Verdict = Literal["passed", "failed", "not applicable"]
GATE_COLUMNS = ("gate", "kind", "value", "required", "verdict", "measurement")


class GateResult(BaseModel):
    """Result of one gate.

    Attributes:
        value: Value of the gate; None if it could not be computed, which fails, or does not apply.
        detail: Details of the value, or the reason why there is none.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: GateKind = "safety"  # reports of earlier releases have no kind
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
        return self.name, self.kind, value, f"{self.direction} {self.threshold:g}", self.verdict, self.detail


def describe_verdict(failed: Sequence[str]) -> str:
    """Describe the verdict of the gates.

    Args:
        failed: Names of the failed gates.

    Returns:
        The predicate of a sentence about the version.
    """
    return f"failed {', '.join(failed)}" if failed else "passed every gate"


def list_gate_rules() -> list[GateRule]:
    """List the rules of all gates.

    Returns:
        The rules in gate order, safety first.
    """
    return [*list_safety_rules(), *list_merit_rules()]


def evaluate_gates(evidence: Evidence, settings: GateSettings) -> list[GateResult]:
    """Evaluate every gate; a version passes if no gate fails.

    Args:
        evidence: Evidence about the version.
        settings: Gate settings.

    Returns:
        Results in gate order.
    """
    return [evaluate_rule(rule, evidence, settings, _find_exemption(rule, evidence)) for rule in list_gate_rules()]


def list_warnings(evidence: Evidence) -> list[str]:
    """List findings about a version that fail no gate.

    Args:
        evidence: Evidence about the version.

    Returns:
        Sentences.
    """
    if isinstance(evidence.evaluation, Unavailable):
        return []
    warning = find_level_warning(evidence.evaluation.level)
    constant = evidence.evaluation.family == BASE_RATE
    return [text for text in (_CONSTANT if constant else "", warning.text if warning else "") if text]


def evaluate_rule(rule: GateRule, evidence: Any, settings: GateThresholds, exempt: str | None = None) -> GateResult:
    """Evaluate one gate.

    Args:
        rule: Rule of the gate.
        evidence: Evidence about the version, of the rule's kind of model.
        settings: Gate settings of the same kind.
        exempt: What the version is, where that exempts it from the gate.

    Returns:
        The result.
    """
    threshold = rule.threshold(settings) + 0.0  # no negative zero in reports
    verdict: Verdict
    try:
        value, detail = rule.measure(evidence, settings)
        if value is not None and not math.isfinite(value):
            raise NotComputedError(f"{detail or 'its value'} has no interval")
    except NotComputedError as error:
        value, detail, verdict = None, f"could not be computed: {error}", "failed"
    else:
        verdict = "not applicable" if value is None else _compare(value, rule.direction, threshold)
    if exempt:
        verdict, detail = "not applicable", f"not required of {exempt}; {detail}"
    return GateResult(
        name=rule.name,
        kind=rule.kind,
        value=value,
        threshold=threshold,
        direction=rule.direction,
        verdict=verdict,
        detail=detail,
    )


def _find_exemption(rule: GateRule, evidence: Evidence) -> str | None:
    """Return what the version is, where that exempts it from the gate."""
    if not rule.of_first and evidence.is_first:
        return "a first model"
    constant = isinstance(evidence.evaluation, Evaluation) and evidence.evaluation.family == BASE_RATE
    return "the base rate, which was requested" if constant and not rule.of_constant else None


def _compare(value: float, direction: Direction, threshold: float) -> Verdict:
    passes = {"at least": value >= threshold, "above": value > threshold, "at most": value <= threshold}
    return "passed" if passes[direction] else "failed"
