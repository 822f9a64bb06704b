"""Gates in order, each with value, threshold and verdict."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from pydantic import BaseModel, ConfigDict

from holdfast.model_versions.evidence import Evidence, NotComputedError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion import gate_metrics
from holdfast.promotion.gate_metrics import Measurement

Direction = Literal["at least", "above", "at most"]
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


@dataclass(frozen=True)
class _Rule:
    name: str
    direction: Direction
    threshold: Callable[[GateSettings], float]
    measure: Callable[[Evidence, GateSettings], Measurement]


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
    return [_evaluate(rule, evidence, settings) for rule in _rules()]


def _evaluate(rule: _Rule, evidence: Evidence, settings: GateSettings) -> GateResult:
    threshold = rule.threshold(settings)
    try:
        value, detail = rule.measure(evidence, settings)
        if value is not None and not math.isfinite(value):
            raise NotComputedError(f"{detail or 'its value'} has no interval")
    except NotComputedError as error:
        return _gate(rule, threshold, None, "failed", f"could not be computed: {error}")
    if value is None:
        return _gate(rule, threshold, None, "not applicable", detail)
    passes = {"at least": value >= threshold, "above": value > threshold, "at most": value <= threshold}
    return _gate(rule, threshold, value, "passed" if passes[rule.direction] else "failed", detail)


def _gate(rule: _Rule, threshold: float, value: float | None, verdict: Verdict, detail: str) -> GateResult:
    return GateResult(
        name=rule.name, value=value, threshold=threshold, direction=rule.direction, verdict=verdict, detail=detail
    )


@cache
def _rules() -> list[_Rule]:
    from holdfast.training.baselines import (
        BASELINE_LABELS,  # scikit-learn and Feast, which the settings need not wait for
    )

    return [
        _Rule("minimum quality", "at least", lambda s: s.min_roc_auc, gate_metrics.lowest_roc_auc),
        *(
            _Rule(
                f"better than {title}",
                "above",
                lambda s: s.min_gain_over_baselines,
                partial(gate_metrics.gain_over_baseline, name),
            )
            for name, title in BASELINE_LABELS.items()
        ),
        _Rule(
            "probabilities better than the base rate",
            "above",
            lambda s: s.min_brier_gain,
            gate_metrics.brier_gain_over_base_rate,
        ),
        _Rule(
            "better than a simpler model", "above", lambda s: s.min_gain_over_simpler, gate_metrics.gain_over_simplest
        ),
        _Rule(
            "not worse than the champion",
            "at least",
            lambda s: -s.max_loss_to_champion,
            gate_metrics.gain_over_champion,
        ),
        _Rule("not surely worse than the champion", "at least", lambda s: 0, gate_metrics.highest_gain_over_champion),
        _Rule(
            "probabilities not surely worse than the champion",
            "at least",
            lambda s: 0,
            gate_metrics.highest_brier_gain_over_champion,
        ),
        _Rule("calibration", "at most", lambda s: s.max_calibration_error, gate_metrics.calibration_error),
        _Rule("calibration by month", "at most", lambda s: s.max_bias, gate_metrics.monthly_bias),
        _Rule("calibration by slice", "at most", lambda s: s.max_bias, gate_metrics.slice_bias),
        _Rule("no slice far worse", "at most", lambda s: s.max_slice_gap, gate_metrics.slice_gap),
        _Rule("stability", "at most", lambda s: s.max_instability, gate_metrics.instability),
        _Rule("behaviour: direction", "at most", lambda s: s.max_wrong_direction, gate_metrics.wrong_direction),
        _Rule("behaviour: invariance", "at most", lambda s: s.score_tolerance, gate_metrics.score_variance),
        _Rule("scores as tested", "at most", lambda s: s.score_tolerance, gate_metrics.difference_from_test),
        _Rule("parity", "at most", lambda s: 0, gate_metrics.parity_mismatches),
        _Rule("latency", "at most", lambda s: s.max_latency_ms, gate_metrics.latency_ms),
        _Rule("size", "at most", lambda s: s.max_size_mb, gate_metrics.size_mb),
        _Rule("no forbidden input", "at most", lambda s: 0, gate_metrics.forbidden_inputs),
        _Rule("not rolled back", "at most", lambda s: s.max_rollbacks, gate_metrics.rollback_count),
        _Rule("not refuted in production", "at most", lambda s: 0, gate_metrics.breach_count),
    ]
