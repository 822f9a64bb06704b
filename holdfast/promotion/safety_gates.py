"""Rules of the safety gates, which hold for every version."""

import math
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from scipy.special import ndtri

from feature_repo.names import ENTITY_KEY
from holdfast.core.formatting import format_count
from holdfast.model_versions.evidence import Evidence, NotComputedError, require
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gate_rules import (
    GateRule,
    Measurement,
    describe_skipped,
    measure_interval_end,
    require_item,
    split_slices,
)
from holdfast.training.evaluation_report import Evaluation, Interval
from holdfast.training.level import find_level_warning

SIGNAL_GATES = ("signal on the test", "signal on the folds")

# Signal is required of two independent tests, each with an error of 1%; of a single one with the error of both.
SIGNAL_ERROR = 0.01


def list_safety_rules() -> Iterator[GateRule]:
    """List the rules of the safety gates.

    Yields:
        The rules in gate order.
    """
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
        ("level", _level, "The predicted churn rate is off by more than churn itself moved between months.", True),
        (
            "calibration by month",
            _monthly_bias,
            "In one month the predicted churn rate is off by more than churn itself moved.",
            True,
        ),
        (
            "calibration by slice",
            _slice_bias,
            "In a customer group the predicted churn rate is off by more than for all customers.",
            False,
        ),
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
        remedy="No setting makes such scores usable: correct the model family, and train again.",
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
        remedy="The model file, a library or the data were changed after the training: train again.",
    )
    yield GateRule(
        "parity",
        "safety",
        "at most",
        lambda s: 0,
        _parity_mismatches,
        "Served features differ from those of training.",
        remedy="Fill the online store again with the command above, and run again.",
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
        remedy="Remove the input from feature_repo/feature_services.py. If only its name resembles a forbidden one, "
        "change the patterns of the threshold forbidden_inputs. Then run again.",
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
        remedy="Correct what the guardrail found. The command above without --dry-run evaluates the version again.",
    )


def signal_z(has_folds: bool) -> float:
    """Compute the standard errors by which a signal must lie above chance.

    Args:
        has_folds: Whether the folds are the second of two tests.

    Returns:
        Quantile of the standard normal distribution.
    """
    return -float(ndtri(SIGNAL_ERROR if has_folds else SIGNAL_ERROR**2))


def _lower_bound(interval: Interval, z: float) -> float:
    """Move the lower end of a 95% interval to ``z`` standard errors below the value."""
    return interval.value - (interval.value - interval.low) * z / -ndtri(0.025)


def _signal_on_test(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the lower bound of the ROC-AUC within the months; without folds, a bound that holds for both tests."""
    evaluation, roc_auc = require(evidence.evaluation), require(evidence.signal)
    label = (
        f"ROC-AUC within the months {roc_auc} on {format_count(evaluation.rows, 'test row')} of "
        f"{format_count(len(evaluation.cutoffs), 'month')}"
    )
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
        f"log loss saved over the base rate {folds.log_loss_gain}, ROC-AUC {folds.roc_auc}, "
        f"{format_count(folds.rows, 'row')} of {format_count(folds.months, 'month')}; lower bound {low:.4f} with an "
        f"error of {SIGNAL_ERROR:.0%}"
    )


def _brier_gain(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the upper end of the Brier score saved over the base rate; without the level where it is not known."""
    if find_level_warning(require(evidence.evaluation).level) is None:
        return measure_interval_end(evidence.brier_gain, "high", "difference in Brier score")
    note = "; level unknown, so each month after its best single offset"
    return measure_interval_end(evidence.level_free_brier_gain, "high", "difference in Brier score", note)


def _calibration_error(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the near end of the expected calibration error, without the part that a wrong level alone explains.

    Resampling alone increases the error, so the near end is that of the basic bootstrap interval (Davison and Hinkley,
    1997, ch. 5), which removes the increase.
    """
    evaluation = require(evidence.evaluation)
    error, bias = require_item(require_item(evaluation.metrics, "model"), "ece"), _overall_bias(evaluation)
    near = _excess(2 * error.value, error.high)
    return _excess(near, abs(bias.value)), (
        f"mean distance of predicted from observed churn {error.value:.3f}, surely {near:.3f}, "
        f"{abs(bias.value):.3f} of it by the level; calibration: {evaluation.calibration}"
    )


def _level(evidence: Evidence, _: GateSettings) -> Measurement:
    bias, moved = _overall_bias(require(evidence.evaluation)), _churn_moves(evidence)
    unavoidable = sum(moved) / len(moved)
    return _excess(_distance_from_zero(bias), unavoidable), (
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
    large, small = split_slices(evidence, settings)
    if not large:
        return None, f"no slice has {format_count(settings.min_slice_rows, 'row')}"
    overall = abs(_overall_bias(require(evidence.evaluation)).value)
    value, text = _largest_excess(
        {name: (item.bias, item.mean_score, item.base_rate, overall) for name, item in large.items()}, "all rows off by"
    )
    return value, f"{text}{describe_skipped(small)}"


def _largest_excess(groups: Mapping[str, tuple[Interval | None, float, float, float]], label: str) -> Measurement:
    """Return the largest sure bias beyond its allowance over groups of (bias, predicted, observed, allowance)."""
    if unknown := [name for name, (bias, *_) in groups.items() if bias is None or not math.isfinite(bias.low)]:
        raise NotComputedError(f"no interval of predicted minus observed churn of {', '.join(unknown)}")
    excess = {
        name: _excess(_distance_from_zero(bias), allowed) for name, (bias, _, _, allowed) in groups.items() if bias
    }
    name = max(excess, key=lambda name: excess[name])
    bias, predicted, observed, allowed = groups[name]
    return excess[name], (
        f"{name}: predicted {predicted:.1%}, observed {observed:.1%}, difference {bias}; {label} {allowed:.3f}"
    )


def _distance_from_zero(interval: Interval) -> float:
    """Return the smallest distance from zero within an interval: 0 if it contains zero, NaN without an interval."""
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return max(0.0, interval.low, -interval.high) if known else math.nan


def _excess(value: float, allowance: float) -> float:
    """Return the part of a value beyond an allowance; NaN stays NaN."""
    return 0.0 if value <= allowance else value - allowance


def _overall_bias(evaluation: Evaluation) -> Interval:
    if evaluation.level is None:
        raise NotComputedError("the evaluation has no level; train again with `python -m flows.train`")
    return evaluation.level.bias


def _instability(evidence: Evidence, _: GateSettings) -> Measurement:
    change = require(evidence.evaluation).instability
    return change.low, (
        f"a probability changes by {change.value:.3f} on average, by {change.low:.3f} to {change.high:.3f} in six "
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
    return (
        parity.mismatches,
        f"{format_count(parity.values_compared, 'value')} compared at {parity.as_of:%Y-%m-%d %H:%M} UTC",
    )


def _forbidden_inputs(evidence: Evidence, settings: GateSettings) -> Measurement:
    inputs = require(evidence.inputs)
    found = [name for name in inputs if any(fnmatchcase(name.lower(), p.lower()) for p in settings.forbidden_inputs)]
    return len(found), ", ".join(found) or f"none of {format_count(len(inputs), 'input')} matches"


def _rollback_count(evidence: Evidence, _: GateSettings) -> Measurement:
    rollback = evidence.rollback
    if rollback is None:
        return 0, "never"
    return rollback.times, f"{rollback.by} on {rollback.when:%Y-%m-%d}: {rollback.why}"


def _breach_count(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return 1 for a version with a breach in a rollout that was not evaluated again by name, else 0."""
    if evidence.breach is None:
        return 0, "never"
    record = evidence.breach.record
    breach = f"{record.name} on {record.when:%Y-%m-%d}: {record.why}"
    if evidence.breach.is_in_force:
        return 1, f"{breach}; `python -m flows.gates --version ...` evaluates the version again"
    return 0, f"a person named the version for a new evaluation after {breach}"
