"""Facts of the model card of a regression: the spend of a customer in the horizon."""

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
from holdfast.training.recipe import Recipe
from holdfast.training.regression.families import BASELINE_LABELS
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.regression.scores import SPEND_METRIC_LABELS


def build_regression_context(history: VersionHistory, test: RegressionEvaluation, recipe: Recipe) -> dict[str, Any]:
    """Build the variables of the template that models of other kinds do not have.

    Args:
        history: History of the version.
        test: Results on the test period.
        recipe: Fitted model and its cut-offs.

    Returns:
        Value by name of the variable.
    """
    return {
        "metrics": SPEND_METRIC_LABELS,
        "baselines": BASELINE_LABELS,
        "not_for": _not_for(history),
        "limits": list(_limits(history, test, recipe)),
        "data": list(_data(history, test, recipe)),
        "calibration": _calibration(test),
    }


def _not_for(history: VersionHistory) -> list[str]:
    return [
        f"other customers than those {history.lineage.terms.describe_customers('the prediction')}: the training set "
        "has none of them",
        "the amount that an offer saves: the expected spend counts the chance of no purchase already",
        "profit: neither returns nor costs are subtracted",
        "decisions about a single customer: an expected value holds on average over many customers",
    ]


def _limits(history: VersionHistory, test: RegressionEvaluation, recipe: Recipe) -> Iterator[str]:
    yield from list_age_limits(history, recipe)
    yield from describe_season(history)
    worst = max(test.months, key=lambda month: abs(month.predicted - month.observed))
    yield (
        f"The spend changes over time and the predictions do not follow: for {worst.name} the model expected "
        f"{worst.predicted:.2f} per customer, and {worst.observed:.2f} were spent."
    )
    if others := {name: gain for name, gain in test.gains.items() if name != recipe.family}:
        name, gain = min(others.items(), key=lambda item: item[1].value)
        yield f"The best baseline is {BASELINE_LABELS.get(name, name)}: the model saves a Tweedie deviance of {gain}."
    enough = min_slice_rows(history)
    if large := [item for item in test.slices if item.rows >= enough]:
        far = max(large, key=lambda item: abs(item.bias.value))
        yield (
            f"The group with the largest error is {far.name}: {far.predicted:.2f} expected per customer, "
            f"{far.observed:.2f} spent."
        )
    if small := [f"{item.name} ({item.rows:,})" for item in test.slices if item.rows < enough]:
        yield f"Groups with too few test rows for a result: {', '.join(small)}."
    yield from describe_missing_attributes(history)
    yield "Purchases after the horizon count as no spend."


def _data(history: VersionHistory, test: RegressionEvaluation, recipe: Recipe) -> Iterator[tuple[str, str]]:
    label = f"spend: {history.lineage.terms.describe_spend()}, 0 for a customer who churns"
    outcome = f"{format_count(test.rows, 'row')}, {_mean_observed(test):.2f} spent per customer"
    yield from list_data_facts(history, recipe, label, outcome, test.history_notes)
    yield "model", f"{test.chosen}, seed {recipe.seed}"
    yield "reason", test.reason


def _calibration(test: RegressionEvaluation) -> str:
    text = (
        f"On the test period {_mean_observed(test):.2f} were spent per customer; predicted / observed total "
        f"{test.metrics['model']['total']}."
    )
    if not test.deciles:
        return text
    top = test.deciles[-1]
    spent = sum(item.observed * item.rows for item in test.deciles)
    share = f", {top.observed * top.rows / spent:.0%} of the total" if spent else ""
    return (
        f"{text} In the tenth with the highest predictions {top.predicted:.2f} were expected and {top.observed:.2f} "
        f"spent per customer{share}."
    )


def _mean_observed(test: RegressionEvaluation) -> float:
    return sum(item.observed * item.rows for item in test.months) / test.rows
