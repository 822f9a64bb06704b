"""Metric of each gate, computed from the evidence.

Each function returns the value, None if the gate does not apply, and a text with the details; a missing piece of
evidence
raises NotComputedError.
"""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

from feature_repo.names import ENTITY_KEY
from holdfast.model_versions.evidence import Evidence, NotComputedError, require
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.evaluation_report import SliceResult

Measurement = tuple[float | None, str]
T = TypeVar("T")


def lowest_roc_auc(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the lower end of the interval of the test ROC-AUC.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    evaluation = require(evidence.evaluation)
    roc_auc = _known(_known(evaluation.metrics, "model"), "roc_auc")
    return roc_auc.low, f"ROC-AUC {roc_auc} on {evaluation.rows:,} test rows"


def gain_over_baseline(baseline: str, evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the lower end of the ROC-AUC difference from a baseline.

    Args:
        baseline: Name of the baseline.
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    gain = _known(require(evidence.evaluation).over_baselines, baseline)
    return gain.low, f"difference in ROC-AUC {gain}"


def brier_gain_over_base_rate(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the lower end of the difference in Brier score, base rate minus model.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    gain = require(evidence.brier_gain)
    return gain.low, f"difference in Brier score {gain}"


def gain_over_simplest(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the lower end of the ROC-AUC difference from the simplest family.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details; None for the simplest family.
    """
    gain = require(evidence.evaluation).simpler
    if gain is None:
        return None, f"{require(evidence.evaluation).family} is the simplest family"
    return gain.low, f"difference in ROC-AUC {gain} on the test rows"


def gain_over_champion(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the lower end of the ROC-AUC difference from the champion on the same rows.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details; None without a champion.
    """
    if evidence.over_champion is None:
        return None, "there is no champion to compare with"
    gain = require(evidence.over_champion)
    return gain.low, f"difference in ROC-AUC {gain} from version {evidence.champion} on {evidence.compared_on}"


def highest_gain_over_champion(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the upper end of the ROC-AUC difference from the champion on the same rows.

    Args:
        evidence: Evidence about the version.
        settings: Gate settings.

    Returns:
        Value and details; None without a champion.
    """
    _, detail = gain_over_champion(evidence, settings)
    return require(evidence.over_champion).high if evidence.over_champion is not None else None, detail


def highest_brier_gain_over_champion(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the upper end of the difference in Brier score, champion minus version, on the same rows.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details; None without a champion.
    """
    if evidence.brier_over_champion is None:
        return None, "there is no champion to compare with"
    gain = require(evidence.brier_over_champion)
    return gain.high, f"difference in Brier score {gain} from version {evidence.champion} on {evidence.compared_on}"


def calibration_error(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the expected calibration error; no end of its interval, because resampling alone increases both.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    evaluation = require(evidence.evaluation)
    error = _known(_known(evaluation.metrics, "model"), "ece")
    return error.value, f"mean distance of predicted from observed churn {error}; calibration: {evaluation.calibration}"


def monthly_bias(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the distance of mean prediction and observed churn in the worst month.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    months = require(evidence.evaluation).months
    if not months:
        raise NotComputedError("the evaluation has no months")
    return _bias({f"{item.cutoff:%Y-%m-%d}": (item.mean_score, item.base_rate) for item in months})


def slice_bias(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the distance of mean prediction and observed churn in the worst customer group that is large enough.

    Args:
        evidence: Evidence about the version.
        settings: Gate settings with the smallest group.

    Returns:
        Value and details.
    """
    large = [item for item in require(evidence.evaluation).slices if item.rows >= settings.min_slice_rows]
    if not large:
        raise NotComputedError(f"no slice has {settings.min_slice_rows} rows")
    return _bias({_named(item): (item.mean_score, item.base_rate) for item in large})


def _bias(groups: Mapping[str, tuple[float, float]]) -> Measurement:
    """Return the largest distance of mean prediction and observed churn over groups."""
    distances = {name: abs(predicted - observed) for name, (predicted, observed) in groups.items()}
    if unknown := [name for name, distance in distances.items() if not math.isfinite(distance)]:
        raise NotComputedError(f"no mean prediction or no observed churn of {', '.join(unknown)}")
    name = max(distances, key=lambda name: distances[name])
    predicted, observed = groups[name]
    return distances[name], f"{name}: predicted {predicted:.1%}, observed {observed:.1%}"


def _named(item: SliceResult) -> str:
    return f"{item.feature}: {item.label}"


def slice_gap(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the lower end of the ROC-AUC difference between all rows and the worst large customer group.

    Args:
        evidence: Evidence about the version.
        settings: Gate settings with the smallest group.

    Returns:
        Value and details.
    """
    slices = require(evidence.evaluation).slices
    large = [item for item in slices if item.rows >= settings.min_slice_rows]
    skipped = [_named(item) for item in slices if item.rows < settings.min_slice_rows]
    if not large:
        raise NotComputedError(f"no slice has {settings.min_slice_rows} rows")
    if unknown := [_named(item) for item in large if item.gap is None or not math.isfinite(item.gap.low)]:
        raise NotComputedError(f"no ROC-AUC of {', '.join(unknown)}")
    name, gap = max(((_named(item), item.gap) for item in large if item.gap), key=lambda pair: pair[1].low)
    return gap.low, f"{name}: ROC-AUC {gap} below all rows'" + (
        f"; too small to evaluate: {', '.join(skipped)}" if skipped else ""
    )


def instability(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the largest mean change of a probability over refits on resampled customers.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    change = require(evidence.evaluation).instability
    return change.high, (
        f"a probability changes by {change.value:.3f} on average, by at most {change.high:.3f} in the few refits on "
        "resampled customers"
    )


def wrong_direction(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the share of customers whose risk falls with a longer silence.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    return require(evidence.wrong_direction), "share of customers whose risk falls as their silence grows"


def score_variance(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the largest change of a score in another order, duplicated, or alone.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    if ENTITY_KEY in require(evidence.inputs):
        raise NotComputedError(f"{ENTITY_KEY} is an input: no two customers compare")
    return require(evidence.variance), "largest change of a score in another order, twice in a batch, or alone"


def difference_from_test(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the largest difference between scores of the registered model and of its test.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    return require(evidence.as_tested), "largest difference of the registered model's scores from those of its test"


def parity_mismatches(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the number of online values that differ from point-in-time values, under the definitions of the model.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    parity, definitions = require(evidence.parity), require(evidence.definitions)
    if parts := sorted(part for part, value in definitions.items() if parity.definitions.get(part) != value):
        raise NotComputedError(
            f"the last parity report is of other definitions than the model ({', '.join(parts)} differ); run "
            "`python -m flows.features`"
        )
    return parity.mismatches, f"{parity.values_compared:,} values compared at {parity.as_of:%Y-%m-%d %H:%M} UTC"


def latency_ms(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the median time of one prediction by the model alone, in milliseconds.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    return require(evidence.latency_ms), "median of one prediction by the model alone, without service and store, ms"


def size_mb(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the size of the model file in MB.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    return require(evidence.size_mb), "model file, MB"


def forbidden_inputs(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the number of inputs that match a forbidden pattern.

    Args:
        evidence: Evidence about the version.
        settings: Gate settings with the patterns.

    Returns:
        Value and details.
    """
    inputs = require(evidence.inputs)
    found = [name for name in inputs if any(fnmatchcase(name.lower(), p.lower()) for p in settings.forbidden_inputs)]
    return len(found), ", ".join(found) or f"none of {len(inputs)} inputs matches"


def rollback_count(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the number of rollbacks of the version.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    rollback = evidence.rollback
    if rollback is None:
        return 0, "never"
    return rollback.times, f"by {rollback.who} on {rollback.when:%Y-%m-%d}: {rollback.why}"


def breach_count(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return 1 for a version with a breach in a rollout that was not evaluated again by name, else 0.

    Args:
        evidence: Evidence about the version.

    Returns:
        Value and details.
    """
    if evidence.breach is None:
        return 0, "never"
    record = evidence.breach.record
    breach = f"{record.name} on {record.when:%Y-%m-%d}: {record.why}"
    if evidence.breach.is_in_force:
        return 1, f"{breach}; `python -m flows.gates --version ...` evaluates the version again"
    return 0, f"a person named the version for a new evaluation after {breach}"


def _known(mapping: Mapping[str, T], name: str) -> T:
    if name not in mapping:
        raise NotComputedError(f"the evaluation has no {name}")
    return mapping[name]
