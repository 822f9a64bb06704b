"""Rules of the merit gates, which compare a version with what could be served instead."""

import math
from collections.abc import Iterator
from functools import partial

from holdfast.core.formatting import format_count
from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable, require
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gate_rules import (
    GateRule,
    IntervalEnd,
    Measurement,
    describe_skipped,
    measure_interval_end,
    require_item,
    split_slices,
)
from holdfast.training.evaluation_report import Interval


def list_merit_rules() -> Iterator[GateRule]:
    """List the rules of the merit gates.

    Yields:
        The rules in gate order.
    """
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
        remedy="The champion stays. Train again when more outcomes are known.",
    )
    yield GateRule(
        "probabilities not surely worse than the champion",
        "merit",
        "at least",
        lambda s: 0,
        lambda e, _: _gain_over_champion(e, e.brier_over_champion, "high", "Brier score"),
        "The champion's probabilities were closer to the outcomes of the same customers.",
        remedy="The champion stays. Train again when more outcomes are known.",
    )


def _gain_over_baseline(baseline: str, evidence: Evidence, _: GateSettings) -> Measurement:
    evaluation = require(evidence.evaluation)
    if reason := evaluation.skipped_baselines.get(baseline):
        return None, reason
    gain = require_item(evaluation.over_baselines, baseline)
    return measure_interval_end(gain, "high", "difference in ROC-AUC")


def _log_loss_to_simple(evidence: Evidence, _: GateSettings) -> Measurement:
    """Return the upper bound of the log loss saved over the simple model that comes off best."""
    # scikit-learn and Feast, which importers of the gates need not wait for
    from holdfast.training.baselines import BASELINE_LABELS

    evaluation = require(evidence.evaluation)
    names = [name for name in BASELINE_LABELS if name not in evaluation.skipped_baselines]
    known = {name: require_item(evaluation.log_loss_gains, name) for name in names}
    best = min(known, key=lambda name: known[name].high)
    return measure_interval_end(known[best], "high", f"log loss saved over {BASELINE_LABELS[best]}")


def _gain_over_families(evidence: Evidence, _: GateSettings) -> Measurement:
    evaluation = require(evidence.evaluation)
    if evaluation.over_families is None:
        return None, f"there is no other family to compare {evaluation.family} with"
    return measure_interval_end(evaluation.over_families, "high", "log loss saved", " on the test rows")


def _gain_over_champion(
    evidence: Evidence, gain: Interval | Unavailable | None, end: IntervalEnd, metric: str
) -> Measurement:
    if gain is None:
        return None, evidence.compared_on
    note = f" from version {evidence.champion} on {evidence.compared_on}"
    return measure_interval_end(gain, end, f"difference in {metric}", note)


def _measured_gain_over_champion(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the difference itself: an interval within the margin would need more rows than most shops have."""
    text = _gain_over_champion(evidence, evidence.over_champion, "high", "ROC-AUC")[1]
    if evidence.over_champion is None:
        return None, text
    if evidence.compared_rows < settings.min_shared_rows:
        return (
            None,
            f"{text}: {format_count(evidence.compared_rows, 'row')}, fewer than {settings.min_shared_rows}, show noise",
        )
    return require(evidence.over_champion).value, text


def _slice_gap(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Return the near end of the ROC-AUC by which the best simple model is ahead in a large customer group."""
    large, small = split_slices(evidence, settings)
    ranked = {name: item for name, item in large.items() if item.behind_simple is not None}
    skipped = describe_skipped([*small, *(name for name in large if name not in ranked)])
    if not ranked:
        return None, f"no slice has {format_count(settings.min_slice_rows, 'row')} and both outcomes{skipped}"
    gaps = {name: item.behind_simple for name, item in ranked.items() if item.behind_simple}
    if unknown := [name for name, gap in gaps.items() if not math.isfinite(gap.low)]:
        raise NotComputedError(f"no interval of the ROC-AUC of {', '.join(unknown)}")
    name = max(gaps, key=lambda name: gaps[name].low)
    return measure_interval_end(gaps[name], "low", f"{name}: {ranked[name].best_simple} ahead in ROC-AUC by", skipped)
