"""Rules of the gates in order: threshold, and measurement from the evidence.

A measurement is the value, None if the gate does not apply, and a text with the details. A missing item of evidence
raises NotComputedError.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Literal, TypeVar

from feature_repo.names import ENTITY_KEY
from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable, require
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.evaluation_report import Interval, SliceResult

Direction = Literal["at least", "above", "at most"]
Measurement = tuple[float | None, str]
_End = Literal["low", "high"]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class GateRule:
    """Rule of one gate.

    Attributes:
        direction: Position of a passing value, relative to the threshold.
        threshold: Function from the settings to the threshold.
        measure: Function from the evidence and the settings to the measurement.
    """

    name: str
    direction: Direction
    threshold: Callable[[GateSettings], float]
    measure: Callable[[Evidence, GateSettings], Measurement]


def list_gate_rules() -> list[GateRule]:
    """List the rules of all gates.

    Returns:
        The rules in gate order.
    """
    # scikit-learn and Feast, which importers of the gates need not wait for
    from holdfast.training.baselines import BASELINE_LABELS

    return [
        GateRule("minimum quality", "at least", lambda s: s.min_roc_auc, _lowest_roc_auc),
        *(
            GateRule(
                f"better than {label}",
                "above",
                lambda s: s.min_gain_over_baselines,
                partial(_gain_over_baseline, name),
            )
            for name, label in BASELINE_LABELS.items()
        ),
        GateRule(
            "probabilities better than the base rate",
            "above",
            lambda s: s.min_brier_gain,
            lambda e, _: _interval_end(e.brier_gain, "low", "difference in Brier score"),
        ),
        GateRule("better than a simpler model", "above", lambda s: s.min_gain_over_simpler, _gain_over_simplest),
        GateRule(
            "not worse than the champion",
            "at least",
            lambda s: -s.max_loss_to_champion,
            lambda e, _: _gain_over_champion(e, e.over_champion, "low", "ROC-AUC"),
        ),
        GateRule(
            "not surely worse than the champion",
            "at least",
            lambda s: 0,
            lambda e, _: _gain_over_champion(e, e.over_champion, "high", "ROC-AUC"),
        ),
        GateRule(
            "probabilities not surely worse than the champion",
            "at least",
            lambda s: 0,
            lambda e, _: _gain_over_champion(e, e.brier_over_champion, "high", "Brier score"),
        ),
        GateRule("calibration", "at most", lambda s: s.max_calibration_error, _calibration_error),
        GateRule("calibration by month", "at most", lambda s: s.max_bias, _monthly_bias),
        GateRule("calibration by slice", "at most", lambda s: s.max_bias, _slice_bias),
        GateRule("no slice far worse", "at most", lambda s: s.max_slice_gap, _slice_gap),
        GateRule("stability", "at most", lambda s: s.max_instability, _instability),
        GateRule(
            "behaviour: direction",
            "at most",
            lambda s: s.max_wrong_direction,
            lambda e, _: (require(e.wrong_direction), "share of customers whose risk falls as their silence grows"),
        ),
        GateRule("behaviour: invariance", "at most", lambda s: s.score_tolerance, _score_variance),
        GateRule(
            "scores as tested",
            "at most",
            lambda s: s.score_tolerance,
            lambda e, _: (
                require(e.as_tested),
                "largest difference of the registered model's scores from those of its test",
            ),
        ),
        GateRule("parity", "at most", lambda s: 0, _parity_mismatches),
        GateRule(
            "latency",
            "at most",
            lambda s: s.max_latency_ms,
            lambda e, _: (
                require(e.latency_ms),
                "median of one prediction by the model alone, without service and store, ms",
            ),
        ),
        GateRule("size", "at most", lambda s: s.max_size_mb, lambda e, _: (require(e.size_mb), "model file, MB")),
        GateRule("no forbidden input", "at most", lambda s: 0, _forbidden_inputs),
        GateRule("not rolled back", "at most", lambda s: s.max_rollbacks, _rollback_count),
        GateRule("not refuted in production", "at most", lambda s: 0, _breach_count),
    ]


def _interval_end(interval: Interval | Unavailable, end: _End, label: str, note: str = "") -> Measurement:
    """Return the end of a 95% interval that the gate compares, and the whole interval as text."""
    known = require(interval)
    return known.low if end == "low" else known.high, f"{label} {known}{note}"


def _lowest_roc_auc(evidence: Evidence, _: GateSettings) -> Measurement:
    evaluation = require(evidence.evaluation)
    roc_auc = _known(_known(evaluation.metrics, "model"), "roc_auc")
    return _interval_end(roc_auc, "low", "ROC-AUC", f" on {evaluation.rows:,} test rows")


def _gain_over_baseline(baseline: str, evidence: Evidence, _: GateSettings) -> Measurement:
    gain = _known(require(evidence.evaluation).over_baselines, baseline)
    return _interval_end(gain, "low", "difference in ROC-AUC")


def _gain_over_simplest(evidence: Evidence, _: GateSettings) -> Measurement:
    evaluation = require(evidence.evaluation)
    if evaluation.simpler is None:
        return None, f"{evaluation.family} is the simplest family"
    return _interval_end(evaluation.simpler, "low", "difference in ROC-AUC", " on the test rows")


def _gain_over_champion(evidence: Evidence, gain: Interval | Unavailable | None, end: _End, metric: str) -> Measurement:
    if gain is None:
        return None, "there is no champion to compare with"
    note = f" from version {evidence.champion} on {evidence.compared_on}"
    return _interval_end(gain, end, f"difference in {metric}", note)


def _calibration_error(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the expected calibration error; no end of its interval, because resampling alone increases both."""
    evaluation = require(evidence.evaluation)
    error = _known(_known(evaluation.metrics, "model"), "ece")
    return error.value, f"mean distance of predicted from observed churn {error}; calibration: {evaluation.calibration}"


def _monthly_bias(evidence: Evidence, _: GateSettings) -> Measurement:
    months = require(evidence.evaluation).months
    if not months:
        raise NotComputedError("the evaluation has no months")
    return _largest_bias({f"{item.cutoff:%Y-%m-%d}": (item.mean_score, item.base_rate) for item in months})


def _slice_bias(evidence: Evidence, settings: GateSettings) -> Measurement:
    large, _ = _slices(evidence, settings)
    return _largest_bias({name: (item.mean_score, item.base_rate) for name, item in large.items()})


def _largest_bias(groups: Mapping[str, tuple[float, float]]) -> Measurement:
    """Return the largest distance of mean prediction and observed churn over groups."""
    distances = {name: abs(predicted - observed) for name, (predicted, observed) in groups.items()}
    if unknown := [name for name, distance in distances.items() if not math.isfinite(distance)]:
        raise NotComputedError(f"no mean prediction or no observed churn of {', '.join(unknown)}")
    name = max(distances, key=lambda name: distances[name])
    predicted, observed = groups[name]
    return distances[name], f"{name}: predicted {predicted:.1%}, observed {observed:.1%}"


def _slice_gap(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the lower end of the ROC-AUC difference between all rows and the worst large customer group."""
    large, small = _slices(evidence, settings)
    if unknown := [name for name, item in large.items() if item.gap is None or not math.isfinite(item.gap.low)]:
        raise NotComputedError(f"no ROC-AUC of {', '.join(unknown)}")
    name, gap = max(((name, item.gap) for name, item in large.items() if item.gap), key=lambda pair: pair[1].low)
    skipped = f"; too small to evaluate: {', '.join(small)}" if small else ""
    return _interval_end(gap, "low", f"{name}: ROC-AUC", f" below all rows'{skipped}")


def _slices(evidence: Evidence, settings: GateSettings) -> tuple[dict[str, SliceResult], list[str]]:
    """Return the large customer groups by name, at least one, and the names of the small ones."""
    slices = {f"{item.feature}: {item.label}": item for item in require(evidence.evaluation).slices}
    large = {name: item for name, item in slices.items() if item.rows >= settings.min_slice_rows}
    if not large:
        raise NotComputedError(f"no slice has {settings.min_slice_rows} rows")
    return large, [name for name in slices if name not in large]


def _instability(evidence: Evidence, _: GateSettings) -> Measurement:
    change = require(evidence.evaluation).instability
    return change.high, (
        f"a probability changes by {change.value:.3f} on average, by at most {change.high:.3f} in the few refits on "
        "resampled customers"
    )


def _score_variance(evidence: Evidence, _: GateSettings) -> Measurement:
    if ENTITY_KEY in require(evidence.inputs):
        raise NotComputedError(f"{ENTITY_KEY} is an input: no two customers compare")
    return require(evidence.variance), "largest change of a score in another order, twice in a batch, or alone"


def _parity_mismatches(evidence: Evidence, _: GateSettings) -> Measurement:
    parity, definitions = require(evidence.parity), require(evidence.definitions)
    if parts := sorted(part for part, value in definitions.items() if parity.definitions.get(part) != value):
        raise NotComputedError(
            f"the last parity report is of other definitions than the model ({', '.join(parts)} differ); run "
            "`python -m flows.features`"
        )
    return parity.mismatches, f"{parity.values_compared:,} values compared at {parity.as_of:%Y-%m-%d %H:%M} UTC"


def _forbidden_inputs(evidence: Evidence, settings: GateSettings) -> Measurement:
    inputs = require(evidence.inputs)
    found = [name for name in inputs if any(fnmatchcase(name.lower(), p.lower()) for p in settings.forbidden_inputs)]
    return len(found), ", ".join(found) or f"none of {len(inputs)} inputs matches"


def _rollback_count(evidence: Evidence, _: GateSettings) -> Measurement:
    rollback = evidence.rollback
    if rollback is None:
        return 0, "never"
    return rollback.times, f"by {rollback.who} on {rollback.when:%Y-%m-%d}: {rollback.why}"


def _breach_count(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return 1 for a version with a breach in a rollout that was not evaluated again by name, else 0."""
    if evidence.breach is None:
        return 0, "never"
    record = evidence.breach.record
    breach = f"{record.name} on {record.when:%Y-%m-%d}: {record.why}"
    if evidence.breach.is_in_force:
        return 1, f"{breach}; `python -m flows.gates --version ...` evaluates the version again"
    return 0, f"a person named the version for a new evaluation after {breach}"


def _known(mapping: Mapping[str, _Item], name: str) -> _Item:
    if name not in mapping:
        raise NotComputedError(f"the evaluation has no {name}")
    return mapping[name]
