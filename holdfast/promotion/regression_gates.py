"""Gates of a regression. Those about features, file, latency and rollbacks are the ones of a classification."""

import math
from collections.abc import Iterator

from holdfast.core.formatting import format_count
from holdfast.model_versions.evidence import NotComputedError, require
from holdfast.model_versions.gate_settings import RegressionGateSettings
from holdfast.promotion.gate_rules import GateRule, Measurement, describe_skipped, measure_interval_end, require_item
from holdfast.promotion.gates import GateResult, evaluate_rule
from holdfast.promotion.regression_evidence import RegressionEvidence
from holdfast.promotion.safety_gates import list_safety_rules
from holdfast.training.evaluation_report import Interval
from holdfast.training.regression.families import BASELINE_LABELS

_SHARED_GATES = (
    "behaviour: invariance",
    "scores as tested",
    "parity",
    "latency",
    "size",
    "no forbidden input",
    "not rolled back",
)


def list_regression_rules() -> Iterator[GateRule]:
    """List the rules of the gates of a regression.

    Yields:
        The rules in gate order, safety first.
    """
    yield GateRule(
        "signal on the test",
        "safety",
        "above",
        lambda s: s.min_rank_correlation,
        _rank_correlation,
        "The test period does not show that the model ranks customers by their spend.",
        "min_rank_correlation",
    )
    yield GateRule(
        "signal on the folds",
        "safety",
        "above",
        lambda s: s.min_fold_gain,
        _fold_gain,
        "The months before the test do not show that the model predicts better than the mean spend.",
        "min_fold_gain",
    )
    yield GateRule(
        "total",
        "safety",
        "at most",
        lambda s: s.max_total_error,
        _total_error,
        "The predicted total is off by more than the spend itself moved between months.",
        "max_total_error",
    )
    yield GateRule(
        "total by slice",
        "safety",
        "at most",
        lambda s: s.max_total_error,
        _slice_error,
        "In a customer group the predicted total is off by more than for all customers.",
        "max_total_error",
    )
    yield from (rule for rule in list_safety_rules() if rule.name in _SHARED_GATES)
    yield GateRule(
        "not surely worse than a simple model",
        "merit",
        "at least",
        lambda s: -s.max_deviance_loss,
        _gain_over_baselines,
        "A simple model predicts the spend better.",
        "max_deviance_loss",
    )
    yield GateRule(
        "not surely worse than another family",
        "merit",
        "at least",
        lambda s: -s.max_deviance_loss,
        _gain_over_families,
        "Another family of the comparison predicts the spend better.",
        "max_deviance_loss",
    )
    yield GateRule(
        "not surely worse than the champion",
        "merit",
        "at least",
        lambda s: -s.max_deviance_loss,
        _gain_over_champion,
        "The champion predicts the spend of the same customers better.",
        "max_deviance_loss",
    )


def evaluate_regression_gates(evidence: RegressionEvidence, settings: RegressionGateSettings) -> list[GateResult]:
    """Evaluate every gate of a regression; a version passes if no gate fails.

    Args:
        evidence: Evidence about the version.
        settings: Gate settings.

    Returns:
        Results in gate order.
    """
    return [evaluate_rule(rule, evidence, settings) for rule in list_regression_rules()]


def _rank_correlation(evidence: RegressionEvidence, _: RegressionGateSettings) -> Measurement:
    evaluation = require(evidence.evaluation)
    interval = require_item(require_item(evaluation.metrics, "model"), "spearman")
    note = f" on {format_count(evaluation.rows, 'test row')} of {format_count(len(evaluation.months), 'month')}"
    return measure_interval_end(interval, "low", "rank correlation of prediction and spend", note)


def _fold_gain(evidence: RegressionEvidence, _: RegressionGateSettings) -> Measurement:
    gain = require(evidence.evaluation).over_mean
    if gain is None:
        return None, "history is too short for folds"
    return measure_interval_end(gain, "low", "Tweedie deviance saved over the mean spend on the folds")


def _total_error(evidence: RegressionEvidence, _: RegressionGateSettings) -> Measurement:
    """Return the sure error of the predicted total, beyond the mean distance that the spend moved between months."""
    evaluation = require(evidence.evaluation)
    if not evaluation.months or not evaluation.known_mean:
        raise NotComputedError("the evaluation has no months, or no spend before the test")
    total = require_item(require_item(evaluation.metrics, "model"), "total")
    moved = sum(abs(item.observed / evaluation.known_mean - 1) for item in evaluation.months) / len(evaluation.months)
    return max(0.0, _sure_error(total) - moved), (
        f"predicted / observed total {total}; the mean spend of a test month is {moved:.3f} from that before on average"
    )


def _slice_error(evidence: RegressionEvidence, settings: RegressionGateSettings) -> Measurement:
    """Return the largest sure error of a large group's mean, as a share of the mean spend of all customers.

    A share of the group's own mean would refuse a model for cents in a group that spends little.
    """
    evaluation = require(evidence.evaluation)
    large = [item for item in evaluation.slices if item.rows >= settings.min_slice_rows]
    small = [item.name for item in evaluation.slices if item.rows < settings.min_slice_rows]
    if not large:
        return None, f"no slice has {format_count(settings.min_slice_rows, 'row')}"
    mean = sum(item.observed * item.rows for item in evaluation.months) / evaluation.rows
    if not mean:
        raise NotComputedError("no customer of the test has spent anything")
    overall = abs(evaluation.metrics["model"]["total"].value - 1)
    errors = {item.name: max(0.0, item.bias.low, -item.bias.high) / mean for item in large}
    worst = max(large, key=lambda item: errors[item.name])
    return max(0.0, errors[worst.name] - overall), (
        f"{worst.name}: mean predicted {worst.predicted:.2f}, observed {worst.observed:.2f}, difference {worst.bias}; "
        f"mean of all {mean:.2f}, off by {overall:.1%}{describe_skipped(small)}"
    )


def _sure_error(total: Interval) -> float:
    """Return the distance of the interval from 1: 0 if it contains 1."""
    if not math.isfinite(total.low):
        raise NotComputedError("the total has no interval: there is no spend in most resamples")
    return max(0.0, total.low - 1, 1 - total.high)


def _gain_over_baselines(evidence: RegressionEvidence, _: RegressionGateSettings) -> Measurement:
    gains = require(evidence.evaluation).gains
    name = min(_require_gains(gains), key=lambda name: gains[name].high)
    return measure_interval_end(gains[name], "high", f"Tweedie deviance saved over the {BASELINE_LABELS[name]}")


def _gain_over_families(evidence: RegressionEvidence, _: RegressionGateSettings) -> Measurement:
    gains = require(evidence.evaluation).family_gains
    if not gains:
        return None, "no other family was compared"
    name = min(gains, key=lambda name: gains[name].high)
    return measure_interval_end(gains[name], "high", f"Tweedie deviance saved over {name} on the folds")


def _gain_over_champion(evidence: RegressionEvidence, _: RegressionGateSettings) -> Measurement:
    if evidence.over_champion is None:
        return None, evidence.compared_on
    label = f"Tweedie deviance saved over version {evidence.champion}"
    return measure_interval_end(evidence.over_champion, "high", label, f" on {evidence.compared_on}")


def _require_gains(gains: dict[str, Interval]) -> dict[str, Interval]:
    """Require results of a baseline.

    Args:
        gains: Baseline to the deviance saved.

    Returns:
        The same.

    Raises:
        NotComputedError: There is no baseline.
    """
    if not gains:
        raise NotComputedError("the evaluation has no baseline")
    return gains
