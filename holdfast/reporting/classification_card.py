"""Facts of the model card of a classification."""

from collections.abc import Iterator
from typing import Any

from holdfast.core.formatting import format_count
from holdfast.lineage.version_history import VersionHistory
from holdfast.reporting.version_facts import (
    describe_missing_attributes,
    describe_season,
    list_age_limits,
    list_data_facts,
    min_slice_rows,
)
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import METRIC_LABELS, Evaluation
from holdfast.training.recipe import Recipe


def build_classification_context(history: VersionHistory, test: Evaluation, recipe: Recipe) -> dict[str, Any]:
    """Build the variables of the template that models of other kinds do not have.

    Args:
        history: History of the version.
        test: Results on the test period.
        recipe: Fitted model and its cut-offs.

    Returns:
        Value by name of the variable.
    """
    return {
        "metrics": METRIC_LABELS,
        "baselines": BASELINE_LABELS,
        "not_for": _not_for(history),
        "limits": list(_limits(history, test, recipe)),
        "data": list(_data(history, test, recipe)),
        "calibration": _calibration(test),
        "value": _profit(history, test),
        "importance": _importance(test),
    }


def _not_for(history: VersionHistory) -> list[str]:
    return [
        f"other customers than those {history.lineage.terms.describe_customers('the prediction')}: the training set "
        "has none of them, and the service flags them (active: false)",
        "decisions other than offers: it was not evaluated for prices, credit, or refusal of service",
        "choosing the customers that an offer would retain: it predicts who leaves, not who can be persuaded",
        "decisions about a single customer: a probability holds on average over many customers",
    ]


def _limits(history: VersionHistory, test: Evaluation, recipe: Recipe) -> Iterator[str]:
    yield from list_age_limits(history, recipe)
    # Rows far outside the flow of rows do not lengthen the history.
    yield from describe_season(history, test.level.history_days if test.history_notes and test.level else None)
    worst = max(test.months, key=lambda month: abs(month.mean_score - month.base_rate))
    yield (
        f"The churn rate changes over time and the probabilities do not follow: for {worst.cutoff:%Y-%m} the model "
        f"predicted {worst.mean_score:.1%}, and {worst.base_rate:.1%} churned."
    )
    name, gain = min(test.over_baselines.items(), key=lambda item: item[1].value)
    yield f"The best baseline is {BASELINE_LABELS.get(name, name)}: its ROC-AUC is lower by {gain}."
    ranked = [item for item in test.slices if item.gap]
    if ranked:
        low = max(ranked, key=lambda item: item.gap.value if item.gap else 0.0)
        yield f"The group with the lowest ROC-AUC is {low.label}: {low.roc_auc}."
    enough = min_slice_rows(history)
    if small := [f"{item.label} ({item.rows:,})" for item in test.slices if not item.gap or item.rows < enough]:
        yield f"Groups with too few test rows for a result: {', '.join(small)}."
    yield from describe_missing_attributes(history)
    if history.lineage.terms.has_subscriptions:
        yield "A customer who renews after the grace counts as churned."
    else:
        yield "A customer who returns after the horizon counts as churned."


def _data(history: VersionHistory, test: Evaluation, recipe: Recipe) -> Iterator[tuple[str, str]]:
    label = f"churned: {history.lineage.terms.describe_churn()}"
    outcome = f"{format_count(test.rows, 'row')}, {test.base_rate:.1%} churned"
    yield from list_data_facts(history, recipe, label, outcome, test.history_notes)
    if test.served:
        yield "refit", test.served.reason
    yield "model", f"{test.chosen}, calibration {test.calibration}, seed {recipe.seed}"
    yield "reason", test.reason
    for note in test.describe_skipped():
        yield "skipped", note


def _calibration(test: Evaluation) -> str:
    predicted = sum(month.mean_score * month.rows for month in test.months) / sum(month.rows for month in test.months)
    return (
        f"Calibration: {test.calibration}. {test.calibration_reason} On the test period the mean prediction "
        f"is {predicted:.1%}, and {test.base_rate:.1%} churned."
    )


def _profit(history: VersionHistory, test: Evaluation) -> str:
    value, assumptions = test.value, history.lineage.settings.get("value", {})
    text = ""
    if assumptions:
        text = (
            f"Assumed, not measured: a retained customer is worth {assumptions['kept_customer']:g}, an offer costs "
            f"{assumptions['offer_cost']:g}, and retains {assumptions['response_rate']:.0%} of the churners. "
        )
    return (
        f"{text}{_offers(test)} Profit per customer in the test "
        f"period: {value.earned}; at the usual threshold of 0.50: {value.at_half}, a loss of {value.lost_by_half}; "
        f"with offers to all customers: {value.offers_to_all:.3f}. In hindsight the best threshold is "
        f"{value.best_threshold:.2f}, with a profit of {value.best:.3f}."
    )


def _offers(test: Evaluation) -> str:
    if test.decisions:
        return f"{test.decisions} Customers from a probability of {test.value.threshold:.2f} get an offer."
    return f"An offer then pays from a probability of {test.value.threshold:.2f}."


def _importance(test: Evaluation) -> str:
    significant = [item for item in test.importance if item.drop.low > 0]
    first = ", ".join(f"{item.feature} ({item.drop.value:.3f})" for item in test.importance[:3])
    return (
        f"ROC-AUC lost when the values of a feature are shuffled; highest: {first}. The 95% interval is above 0 for "
        f"{len(significant)} of {format_count(len(test.importance), 'feature')}. Correlated features replace each "
        "other, so each of them can seem unimportant."
    )
