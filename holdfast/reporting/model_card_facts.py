"""Context of the model card's template, from the records of the version only."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from holdfast.core.formatting import format_count, format_cutoffs, format_minute
from holdfast.lineage.version_history import VersionHistory
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.models.declaration import registered_name
from holdfast.reporting.lineage_tree import format_batches, list_code_versions
from holdfast.reporting.version_timeline import build_timeline, describe_approval, describe_status
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import METRIC_LABELS, Evaluation
from holdfast.training.recipe import Recipe


def build_card_context(history: VersionHistory, test: Evaluation, recipe: Recipe) -> dict[str, Any]:
    """Build the variables of the template.

    Args:
        history: History of the version.
        test: Results on the test period.
        recipe: Fitted model and its cut-offs.

    Returns:
        Value by name of the variable.
    """
    return {
        "name": registered_name(history.lineage.model),
        "history": history,
        "lineage": history.lineage,
        "test": test,
        "metrics": METRIC_LABELS,
        "baselines": BASELINE_LABELS,
        "status": describe_status(history),
        "gates_verdict": _gates_verdict(history),
        "gates_text": _gates_text(history),
        "approval": describe_approval(history),
        "timeline": build_timeline(history),
        "not_for": _not_for(history),
        "limits": list(_limits(history, test, recipe)),
        "data": list(_data(history, test, recipe)),
        "calibration": _calibration(test),
        "value": _profit(history, test),
        "importance": _importance(test),
        "origin": list(_origin(history)),
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
    lineage = history.lineage
    closed = recipe.shipped[-1] + timedelta(days=lineage.terms.outcome_days)
    excluded = "" if recipe.refit else ": the outcomes of the test period and of the embargo before it are excluded"
    yield from history.gates.warnings if history.gates else ()
    yield (
        f"The newest outcome in the training set was known on {closed:%Y-%m-%d}, "
        f"{format_count((lineage.as_of - closed).days, 'day')} before {lineage.as_of:%Y-%m-%d}{excluded}. Later "
        "changes of behavior are unknown to the model."
    )
    if recipe.refit:
        yield (
            f"The test results are those of a model fitted up to {recipe.development[-1]:%Y-%m-%d}. The served model "
            f"is the same recipe refitted up to {recipe.refit[-1]:%Y-%m-%d}, the test period included: no later "
            "outcome has tested it yet."
        )
    manifests = [batch.manifest for batch in history.batches if batch.manifest]
    sales = [manifest for manifest in manifests if manifest.kind == "transactions"]
    first = min((item.first_event for item in sales if item.first_event), default=None)
    last = max((item.last_event for item in sales if item.last_event), default=None)
    days = (last - first).days if first and last else None
    if test.history_notes and test.level:  # rows far outside the flow of rows do not lengthen the history
        days = test.level.history_days
    if days is not None and days < 2 * 365:
        yield f"The data cover {format_count(days, 'day')}, less than two years: season and trend cannot be separated."
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
    enough = history.report.settings.min_slice_rows if history.report else 0
    if small := [f"{item.label} ({item.rows:,})" for item in test.slices if not item.gap or item.rows < enough]:
        yield f"Groups with too few test rows for a result: {', '.join(small)}."
    if len(sales) == len(manifests):
        yield (
            "The data are purchases only. Groups by age, sex, origin or residence were not evaluated: the data lack "
            "them."
        )
    if lineage.terms.has_subscriptions:
        yield "A customer who renews after the grace counts as churned."
    else:
        yield "A customer who returns after the horizon counts as churned."


def _data(history: VersionHistory, test: Evaluation, recipe: Recipe) -> Iterator[tuple[str, str]]:
    lineage = history.lineage
    for line in format_batches(history.batches):
        yield "data", line.removesuffix(" (--json lists all)")
    yield "known at", f"{format_minute(lineage.known_at)}: later arrivals were not used"
    yield "label", f"churned: {lineage.terms.describe_churn()}"
    yield "customers", lineage.terms.describe_customers()
    rows = f", {format_count(history.training_rows, 'row')}" if history.training_rows else ""
    yield "trained on", f"monthly cut-offs {format_cutoffs(recipe.shipped)}{rows}"
    yield "selected on", f"folds before the test, validated at {format_cutoffs([f.validation for f in recipe.folds])}"
    for note in test.history_notes:
        yield "history", note
    yield (
        "embargo",
        f"{format_count(lineage.terms.outcome_days, 'day')}: no outcome behind the tested model lies in the test "
        "period",
    )
    yield "tested on", f"{format_cutoffs(recipe.test)}, {format_count(test.rows, 'row')}, {test.base_rate:.1%} churned"
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


def _gates_verdict(history: VersionHistory) -> str:
    if history.gates is None:
        return "not evaluated yet"
    if history.report is None:
        return history.gates.verdict
    evaluated = [gate for gate in history.report.gates if gate.verdict != "not applicable"]
    count = sum(gate.verdict == history.gates.verdict for gate in evaluated)
    return f"{history.gates.verdict}: {count} of {len(evaluated)}"


def _gates_text(history: VersionHistory) -> str:
    gates = history.gates
    if gates is None:
        return f"Not evaluated yet: python -m flows.gates --version {history.version}."
    baseline = f"compared with champion version {gates.champion}" if gates.champion else "without a champion"
    failed = f" It failed: {', '.join(gates.failed)}." if gates.failed else ""
    changed = f" {describe_changed_thresholds(gates.thresholds)}" if gates.thresholds else ""
    missing = "" if history.report else " The measurements behind the verdict are no longer in the run."
    if history.unreadable:
        missing = f" The measurements behind the verdict cannot be read: {history.unreadable}"
    return f"Evaluated at {format_minute(gates.when)}, {baseline}.{failed}{changed}{missing}"


def _origin(history: VersionHistory) -> Iterator[tuple[str, str]]:
    yield "MLflow run", history.run_id
    yield "registered", format_minute(history.registered_at)
    yield "fingerprint", ", ".join(f"{part} {digest[:12]}" for part, digest in history.lineage.fingerprint.items())
    yield from list_code_versions(history).items()
