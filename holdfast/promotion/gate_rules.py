"""Rules of the gates in order: kind, limit, meaning, and measurement from the evidence.

A measurement is the value, None if the gate does not apply, and a text with the details. A missing item of evidence
raises NotComputedError. A limit is compared with the near end of an interval: a version fails what it surely misses.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Literal, TypeVar

from scipy.stats import norm

from feature_repo.names import ENTITY_KEY
from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable, require
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.evaluation_report import Evaluation, Interval, SliceResult
from holdfast.training.level import find_level_warning

Direction = Literal["at least", "above", "at most"]
GateKind = Literal["safety", "merit"]
SIGNAL_GATES = ("signal on the test", "signal on the folds")
Measurement = tuple[float | None, str]
_End = Literal["low", "high"]
_Item = TypeVar("_Item")

# Signal is required of two independent tests, each with an error of 1%; of a single one with the error of both.
SIGNAL_ERROR = 0.01


@dataclass(frozen=True)
class GateRule:
    """Rule of one gate.

    Attributes:
        kind: ``safety`` holds for every version; ``merit`` compares the version with what else could be served.
        direction: Position of a passing value, relative to the threshold.
        threshold: Function from the settings to the threshold.
        measure: Function from the evidence and the settings to the measurement.
        meaning: What a failure means.
        setting: Threshold of GateSettings that moves the limit; None for a fixed limit.
        of_first: Whether the gate is required of the first model of a shop: it needs safety, and to be the best of
            what can be served.
        of_constant: Whether the gate is required of the base rate, which ranks no customer.
    """

    name: str
    kind: GateKind
    direction: Direction
    threshold: Callable[[GateSettings], float]
    measure: Callable[[Evidence, GateSettings], Measurement]
    meaning: str
    setting: str | None = None
    of_first: bool = True
    of_constant: bool = True


def list_gate_rules() -> list[GateRule]:
    """List the rules of all gates.

    Returns:
        The rules in gate order, safety first.
    """
    return [*_safety_rules(), *_merit_rules()]


def _safety_rules() -> Iterator[GateRule]:
    yield GateRule(
        SIGNAL_GATES[0],
        "safety",
        "above",
        lambda s: s.min_roc_auc,
        _signal_on_test,
        "The test period does not show that the model ranks customers better than chance.",
        "min_roc_auc",
        of_constant=False,
    )
    yield GateRule(
        SIGNAL_GATES[1],
        "safety",
        "above",
        lambda s: s.min_fold_gain,
        _signal_on_folds,
        "The months before the test do not show that the model predicts better than the base rate.",
        "min_fold_gain",
        of_constant=False,
    )
    yield GateRule(
        "probabilities not surely worse than the base rate",
        "safety",
        "at least",
        lambda s: -s.max_brier_loss,
        _brier_gain,
        "One probability for all customers would have been closer to the outcomes.",
        "max_brier_loss",
    )
    yield GateRule(
        "calibration",
        "safety",
        "at most",
        lambda s: s.max_calibration_error,
        _calibration_error,
        "Probabilities are wrong by more than a common shift: some are too high where others are too low.",
        "max_calibration_error",
    )
    for name, measure, meaning, of_constant in (
        ("level", _level, "The mean prediction is farther off than the churn rate moved.", True),
        ("calibration by month", _monthly_bias, "In a month the prediction is farther off than churn moved.", True),
        ("calibration by slice", _slice_bias, "In a customer group the prediction is farther off than overall.", False),
    ):
        yield GateRule(
            name, "safety", "at most", lambda s: s.max_bias, measure, meaning, "max_bias", of_constant=of_constant
        )
    yield GateRule(
        "stability",
        "safety",
        "at most",
        lambda s: s.max_instability,
        _instability,
        "Another sample of the same customers gives other probabilities.",
        "max_instability",
    )
    yield GateRule(
        "behaviour: direction",
        "safety",
        "at most",
        lambda s: s.max_wrong_direction,
        lambda e, _: (
            require(e.wrong_direction),
            "share of customers whose risk falls as their silence, or an input declared as increasing, grows",
        ),
        "The model calls customers safer because they buy less; staff and customers cannot rely on that.",
        "max_wrong_direction",
    )
    yield GateRule(
        "behaviour: invariance",
        "safety",
        "at most",
        lambda s: s.score_tolerance,
        _score_variance,
        "The score of a customer depends on the other customers of the request.",
    )
    yield GateRule(
        "scores as tested",
        "safety",
        "at most",
        lambda s: s.score_tolerance,
        lambda e, _: (
            require(e.as_tested),
            "largest difference of the registered model's scores from those that its training recorded",
        ),
        "The registered model is not the one that its training recorded.",
    )
    yield GateRule(
        "parity",
        "safety",
        "at most",
        lambda s: 0,
        _parity_mismatches,
        "Served features differ from those of training.",
    )
    yield GateRule(
        "latency",
        "safety",
        "at most",
        lambda s: s.max_latency_ms,
        lambda e, _: (
            require(e.latency_ms),
            "median of one prediction by the model alone, without service and store, ms",
        ),
        "A prediction takes too long for a request.",
        "max_latency_ms",
    )
    yield GateRule(
        "size",
        "safety",
        "at most",
        lambda s: s.max_size_mb,
        lambda e, _: (require(e.size_mb), "model file, MB"),
        "The model file is too large to load quickly.",
        "max_size_mb",
    )
    yield GateRule(
        "no forbidden input",
        "safety",
        "at most",
        lambda s: 0,
        _forbidden_inputs,
        "The model reads an input that must not decide about customers.",
    )
    yield GateRule(
        "not rolled back",
        "safety",
        "at most",
        lambda s: s.max_rollbacks,
        _rollback_count,
        "The version was the champion before, and was rolled back.",
        "max_rollbacks",
    )
    yield GateRule(
        "not refuted in production",
        "safety",
        "at most",
        lambda s: 0,
        _breach_count,
        "The version breached a guardrail in its rollout.",
    )


def _merit_rules() -> Iterator[GateRule]:
    # scikit-learn and Feast, which importers of the gates need not wait for
    from holdfast.training.baselines import BASELINE_LABELS

    for name, label in BASELINE_LABELS.items():
        if name != "base_rate":  # a safety gate
            yield GateRule(
                f"not surely worse than {label}",
                "merit",
                "at least",
                lambda s: s.min_gain_over_baselines,
                partial(_gain_over_baseline, name),
                f"{label} ranks the customers better, and is simpler.",
                "min_gain_over_baselines",
                of_first=False,
                of_constant=False,
            )
    yield GateRule(
        "probabilities not surely worse than the simple models",
        "merit",
        "at least",
        lambda s: -s.max_log_loss_to_simple,
        _log_loss_to_simple,
        "The probabilities of a simple model were closer to the outcomes.",
        "max_log_loss_to_simple",
        of_first=False,
        of_constant=False,
    )
    yield GateRule(
        "not surely worse than another family",
        "merit",
        "at least",
        lambda s: s.min_gain_over_families,
        _gain_over_families,
        "Another model of the search predicts better on the test.",
        "min_gain_over_families",
    )
    yield GateRule(
        "no slice far worse",
        "merit",
        "at most",
        lambda s: s.max_slice_gap,
        _slice_gap,
        "In a customer group a simple model ranks far better.",
        "max_slice_gap",
        of_first=False,
        of_constant=False,
    )
    yield GateRule(
        "not worse than the champion",
        "merit",
        "at least",
        lambda s: -s.max_loss_to_champion,
        _measured_gain_over_champion,
        "The measured loss is larger than allowed: many small losses would add up.",
        "max_loss_to_champion",
    )
    yield GateRule(
        "not surely worse than the champion",
        "merit",
        "at least",
        lambda s: 0,
        lambda e, _: _gain_over_champion(e, e.over_champion, "high", "ROC-AUC"),
        "The champion ranks the same customers better.",
    )
    yield GateRule(
        "probabilities not surely worse than the champion",
        "merit",
        "at least",
        lambda s: 0,
        lambda e, _: _gain_over_champion(e, e.brier_over_champion, "high", "Brier score"),
        "The champion's probabilities were closer to the outcomes of the same customers.",
    )


def _interval_end(interval: Interval | Unavailable, end: _End, label: str, note: str = "") -> Measurement:
    """Return the end of a 95% interval that the gate compares, and the whole interval as text."""
    known = require(interval)
    return known.low if end == "low" else known.high, f"{label} {known}{note}"


def signal_z(has_folds: bool) -> float:
    """Compute the standard errors by which a signal must lie above chance.

    Args:
        has_folds: Whether the folds are the second of two tests.

    Returns:
        Quantile of the standard normal distribution.
    """
    return float(norm.isf(SIGNAL_ERROR if has_folds else SIGNAL_ERROR**2))


def _lower_bound(interval: Interval, z: float) -> float:
    """Move the lower end of a 95% interval to ``z`` standard errors below the value."""
    return interval.value - (interval.value - interval.low) * z / norm.isf(0.025)


def _signal_on_test(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the lower bound of the ROC-AUC within the months; without folds, a bound that holds for both tests."""
    evaluation, roc_auc = require(evidence.evaluation), require(evidence.signal)
    label = f"ROC-AUC within the months {roc_auc} on {evaluation.rows:,} test rows of {len(evaluation.cutoffs)} months"
    has_folds = evaluation.folds is not None
    low = _lower_bound(roc_auc, signal_z(has_folds))
    error = SIGNAL_ERROR if has_folds else SIGNAL_ERROR**2
    note = "" if has_folds else ", because there are no folds for a second test"
    return low, f"{label}; lower bound {low:.3f} with an error of {error:.2%}{note}"


def _signal_on_folds(evidence: Evidence, _: GateSettings) -> Measurement:
    folds = require(evidence.evaluation).folds
    if folds is None:
        return None, "history is too short for folds; the test is evaluated more strictly instead"
    low = _lower_bound(folds.log_loss_gain, signal_z(has_folds=True))
    return low, (
        f"log loss saved over the base rate {folds.log_loss_gain}, ROC-AUC {folds.roc_auc}, {folds.rows:,} rows of "
        f"{folds.months} months; lower bound {low:.4f} with an error of {SIGNAL_ERROR:.0%}"
    )


def _brier_gain(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the upper end of the Brier score saved over the base rate; without the level where it is not known."""
    if find_level_warning(require(evidence.evaluation).level) is None:
        return _interval_end(evidence.brier_gain, "high", "difference in Brier score")
    note = "; level unknown, so each month after its best single offset"
    return _interval_end(evidence.level_free_brier_gain, "high", "difference in Brier score", note)


def _gain_over_baseline(baseline: str, evidence: Evidence, _: GateSettings) -> Measurement:
    gain = _known(require(evidence.evaluation).over_baselines, baseline)
    return _interval_end(gain, "high", "difference in ROC-AUC")


def _log_loss_to_simple(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the upper bound of the log loss saved over the simple model that comes off best."""
    # scikit-learn and Feast, which importers of the gates need not wait for
    from holdfast.training.baselines import BASELINE_LABELS

    gains = require(evidence.evaluation).log_loss_gains
    known = {name: _known(gains, name) for name in BASELINE_LABELS}
    best = min(known, key=lambda name: known[name].high)
    return _interval_end(known[best], "high", f"log loss saved over {BASELINE_LABELS[best]}")


def _gain_over_families(evidence: Evidence, _: GateSettings) -> Measurement:
    evaluation = require(evidence.evaluation)
    if evaluation.over_families is None:
        return None, f"there is no other family to compare {evaluation.family} with"
    return _interval_end(evaluation.over_families, "high", "log loss saved", " on the test rows")


def _gain_over_champion(evidence: Evidence, gain: Interval | Unavailable | None, end: _End, metric: str) -> Measurement:
    if gain is None:
        return None, evidence.compared_on
    note = f" from version {evidence.champion} on {evidence.compared_on}"
    return _interval_end(gain, end, f"difference in {metric}", note)


def _measured_gain_over_champion(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the difference itself: an interval within the margin would need more rows than most shops have."""
    text = _gain_over_champion(evidence, evidence.over_champion, "high", "ROC-AUC")[1]
    if evidence.over_champion is None:
        return None, text
    if evidence.compared_rows < settings.min_shared_rows:
        return None, f"{text}: {evidence.compared_rows} rows, fewer than {settings.min_shared_rows}, show noise"
    return require(evidence.over_champion).value, text


def _calibration_error(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the near end of the expected calibration error, without the part that a wrong level alone explains.

    Resampling alone increases the error, so the near end is that of the basic bootstrap interval (Davison and Hinkley,
    1997, ch. 5), which removes the increase.
    """
    evaluation = require(evidence.evaluation)
    error, bias = _known(_known(evaluation.metrics, "model"), "ece"), _overall_bias(evaluation)
    near = _excess(2 * error.value, error.high)
    return _excess(near, abs(bias.value)), (
        f"mean distance of predicted from observed churn {error.value:.3f}, surely {near:.3f}, "
        f"{abs(bias.value):.3f} of it by the level; calibration: {evaluation.calibration}"
    )


def _level(evidence: Evidence, _: GateSettings) -> Measurement:
    bias, moved = _overall_bias(require(evidence.evaluation)), _churn_moves(evidence)
    unavoidable = sum(moved) / len(moved)
    return _excess(distance_from_zero(bias), unavoidable), (
        f"mean predicted minus observed churn {bias}; churn of a month is {unavoidable:.3f} from that before on average"
    )


def _monthly_bias(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the largest sure bias of a month, beyond the largest distance that churn moved in a month."""
    moved = max(_churn_moves(evidence))
    return _largest_excess(
        {
            f"{item.cutoff:%Y-%m-%d}": (item.bias, item.mean_score, item.base_rate, moved)
            for item in require(evidence.evaluation).months
        },
        "churn moved by up to",
    )


def _churn_moves(evidence: Evidence) -> list[float]:
    """Return the distance of each test month's churn from the churn of the months before."""
    months, rate = require(evidence.evaluation).months, require(evidence.known_rate)
    if not months:
        raise NotComputedError("the evaluation has no months")
    return [abs(item.base_rate - rate) for item in months]


def _slice_bias(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the largest sure bias of a large customer group, beyond the bias of all rows."""
    large, small = _slices(evidence, settings)
    if not large:
        return None, f"no slice has {settings.min_slice_rows} rows"
    overall = abs(_overall_bias(require(evidence.evaluation)).value)
    value, text = _largest_excess(
        {name: (item.bias, item.mean_score, item.base_rate, overall) for name, item in large.items()}, "all rows off by"
    )
    return value, f"{text}{_describe_skipped(small)}"


def _largest_excess(groups: Mapping[str, tuple[Interval | None, float, float, float]], label: str) -> Measurement:
    """Return the largest sure bias beyond its allowance over groups of (bias, predicted, observed, allowance)."""
    if unknown := [name for name, (bias, *_) in groups.items() if bias is None or not math.isfinite(bias.low)]:
        raise NotComputedError(f"no interval of predicted minus observed churn of {', '.join(unknown)}")
    excess = {
        name: _excess(distance_from_zero(bias), allowed) for name, (bias, _, _, allowed) in groups.items() if bias
    }
    name = max(excess, key=lambda name: excess[name])
    bias, predicted, observed, allowed = groups[name]
    return excess[name], (
        f"{name}: predicted {predicted:.1%}, observed {observed:.1%}, difference {bias}; {label} {allowed:.3f}"
    )


def distance_from_zero(interval: Interval) -> float:
    """Return the smallest distance from zero within an interval.

    Args:
        interval: Interval of a difference.

    Returns:
        Distance of the near end; 0 if the interval contains zero, NaN without an interval.
    """
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return max(0.0, interval.low, -interval.high) if known else math.nan


def _excess(value: float, allowance: float) -> float:
    """Return the part of a value beyond an allowance; NaN stays NaN."""
    return 0.0 if value <= allowance else value - allowance


def _overall_bias(evaluation: Evaluation) -> Interval:
    if evaluation.level is None:
        raise NotComputedError("the evaluation has no level; train again with `python -m flows.train`")
    return evaluation.level.bias


def _slice_gap(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the near end of the ROC-AUC by which the best simple model is ahead in a large customer group."""
    large, small = _slices(evidence, settings)
    ranked = {name: item for name, item in large.items() if item.behind_simple is not None}
    skipped = _describe_skipped([*small, *(name for name in large if name not in ranked)])
    if not ranked:
        return None, f"no slice has {settings.min_slice_rows} rows and both outcomes{skipped}"
    gaps = {name: item.behind_simple for name, item in ranked.items() if item.behind_simple}
    if unknown := [name for name, gap in gaps.items() if not math.isfinite(gap.low)]:
        raise NotComputedError(f"no interval of the ROC-AUC of {', '.join(unknown)}")
    name = max(gaps, key=lambda name: gaps[name].low)
    return _interval_end(gaps[name], "low", f"{name}: {ranked[name].best_simple} ahead in ROC-AUC by", skipped)


def _describe_skipped(names: list[str]) -> str:
    return f"; too small to evaluate: {', '.join(names)}" if names else ""


def _slices(evidence: Evidence, settings: GateSettings) -> tuple[dict[str, SliceResult], list[str]]:
    """Return the large customer groups by name, and the names of the small ones."""
    slices = {f"{item.feature}: {item.label}": item for item in require(evidence.evaluation).slices}
    large = {name: item for name, item in slices.items() if item.rows >= settings.min_slice_rows}
    return large, [name for name in slices if name not in large]


def _instability(evidence: Evidence, _: GateSettings) -> Measurement:
    change = require(evidence.evaluation).instability
    return change.low, (
        f"a probability changes by {change.value:.3f} on average, by {change.low:.3f} to {change.high:.3f} in the few "
        "refits on resampled customers"
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
