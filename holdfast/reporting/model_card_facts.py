"""What a model card says in sentences, from what is recorded of the version and from nothing else."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from holdfast.core.formatting import format_cutoffs, format_minute
from holdfast.lineage.version_history import VersionHistory
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.models.contract import MODEL_NAME
from holdfast.reporting.lineage_tree import format_batches, list_code_versions
from holdfast.reporting.version_timeline import build_timeline, describe_approval, describe_status
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import METRIC_LABELS, Evaluation
from holdfast.training.recipe import Recipe


def build_card_context(history: VersionHistory, told: Evaluation, recipe: Recipe) -> dict[str, Any]:
    """Everything the template shows."""
    return {
        "name": MODEL_NAME,
        "history": history,
        "lineage": history.lineage,
        "told": told,
        "metrics": METRIC_LABELS,
        "baselines": BASELINE_LABELS,
        "status": describe_status(history),
        "gates_verdict": _gates_verdict(history),
        "gates_told": _gates_told(history),
        "approval": describe_approval(history),
        "life": build_timeline(history),
        "not_for": _not_for(history),
        "limits": list(_limits(history, told, recipe)),
        "data": list(_data(history, told, recipe)),
        "calibration": _calibration(told),
        "value": _value(history, told),
        "importance": _importance(told),
        "origin": list(_origin(history)),
    }


def _not_for(history: VersionHistory) -> list[str]:
    return [
        f"customers who have not bought for {history.lineage.activity_days} days: it has never seen one, and the "
        "service says so (active: false)",
        "anything but offers: it was not examined for prices, credit, or withholding a service",
        "telling whom an offer would keep: it says who leaves, not who can be persuaded",
        "a verdict on one person: a probability holds over many customers, and each can be the exception",
    ]


def _limits(history: VersionHistory, told: Evaluation, recipe: Recipe) -> Iterator[str]:
    lineage = history.lineage
    closed = recipe.development[-1] + timedelta(days=lineage.horizon_days)
    yield (
        f"The newest outcome it learned from was known on {closed:%Y-%m-%d}, {(lineage.as_of - closed).days} days "
        f"before {lineage.as_of:%Y-%m-%d}: the {lineage.horizon_days}-day outcomes of the test and of the embargo "
        "before it are not in it. What has changed since then, it does not know."
    )
    events = [batch.manifest for batch in history.batches if batch.manifest and batch.manifest.first_event]
    first = min((item.first_event for item in events if item.first_event), default=None)
    last = max((item.last_event for item in events if item.last_event), default=None)
    if first and last and (last - first).days < 2 * 365:
        yield f"Its data cover {(last - first).days} days, less than two years: it cannot tell a season from a trend."
    worst = max(told.months, key=lambda month: abs(month.mean_score - month.base_rate))
    yield (
        f"The share of churners moves and its probabilities do not follow: in {worst.cutoff:%Y-%m} it predicted "
        f"{worst.mean_score:.1%}, and {worst.base_rate:.1%} churned."
    )
    name, gain = min(told.over_baselines.items(), key=lambda item: item[1].value)
    yield f"Of the simple models {BASELINE_LABELS.get(name, name)} comes nearest: its ROC-AUC is lower by {gain}."
    ranked = [item for item in told.slices if item.gap]
    if ranked:
        low = max(ranked, key=lambda item: item.gap.value if item.gap else 0.0)
        yield f"It ranks worst within one group, {low.label}: ROC-AUC {low.roc_auc}."
    enough = history.report.settings.min_slice_rows if history.report else 0
    if small := [f"{item.label} ({item.rows:,})" for item in told.slices if not item.gap or item.rows < enough]:
        yield f"Too few test rows to say anything: {', '.join(small)}."
    yield "It knows purchases only. Groups by age, sex, origin or place were not examined: the data do not hold them."
    yield "A customer who comes back after the horizon counts as churned all the same."


def _data(history: VersionHistory, told: Evaluation, recipe: Recipe) -> Iterator[tuple[str, str]]:
    lineage = history.lineage
    for line in format_batches(history.batches):
        yield "data", line.removesuffix(" (--json lists all)")
    yield "known at", f"{format_minute(lineage.known_at)}: nothing that arrived later was used"
    yield "label", f"churned: no purchase in the {lineage.horizon_days} days after a cut-off"
    yield "customers", f"those who bought in the {lineage.activity_days} days before a cut-off"
    rows = f", {history.training_rows:,} rows" if history.training_rows else ""
    yield "learned on", f"monthly cut-offs {format_cutoffs(recipe.development)}{rows}"
    yield "chosen on", f"folds within, judged at {format_cutoffs([fold.validation for fold in recipe.folds])}"
    yield "embargo", f"{lineage.horizon_days} days: no outcome it learned from lies in the test period"
    yield "tested on", f"{format_cutoffs(recipe.test)}, {told.rows:,} rows, {told.base_rate:.1%} churned"
    yield "model", f"{told.chosen}, calibration {told.calibration}, seed {recipe.seed}"
    yield "why this one", told.reason


def _calibration(told: Evaluation) -> str:
    predicted = sum(month.mean_score * month.rows for month in told.months) / sum(month.rows for month in told.months)
    return (
        f"Calibration: {told.calibration}. {told.calibration_reason} On the test it predicted {predicted:.1%} on "
        f"average, and {told.base_rate:.1%} churned."
    )


def _value(history: VersionHistory, told: Evaluation) -> str:
    value, given = told.value, history.lineage.settings.get("value", {})
    assumed = ""
    if given:
        assumed = (
            f"Assumed, not measured: a customer who is kept is worth {given['kept_customer']:g}, an offer costs "
            f"{given['offer_cost']:g}, and keeps {given['response_rate']:.0%} of those who would have left. "
        )
    return (
        f"{assumed}Then an offer pays from a probability of {value.threshold:.2f}, and the test period would have "
        f"earned {value.earned} per customer. The usual threshold of 0.50 would have earned {value.at_half}, which "
        f"loses {value.lost_by_half}; offers to everybody {value.offers_to_all:.3f}. With hindsight the best "
        f"threshold was {value.best_threshold:.2f}, with {value.best:.3f}."
    )


def _importance(told: Evaluation) -> str:
    surely = [item for item in told.importance if item.drop.low > 0]
    first = ", ".join(f"{item.feature} ({item.drop.value:.3f})" for item in told.importance[:3])
    return (
        f"ROC-AUC that is lost when a feature's values are shuffled, most with {first}. Of {len(told.importance)} "
        f"features {len(surely)} surely matter. Features that tell the same story stand in for each other, so each of "
        "them can look unimportant."
    )


def _gates_verdict(history: VersionHistory) -> str:
    if history.gates is None:
        return "not judged yet"
    if history.report is None:
        return history.gates.verdict
    judged = [gate for gate in history.report.gates if gate.verdict != "not applicable"]
    count = sum(gate.verdict == history.gates.verdict for gate in judged)
    return f"{history.gates.verdict}: {count} of {len(judged)}"


def _gates_told(history: VersionHistory) -> str:
    gates = history.gates
    if gates is None:
        return f"Not judged yet: python -m flows.gates --version {history.version}."
    beside = f"beside version {gates.champion}, the champion then" if gates.champion else "when there was no champion"
    failed = f" It failed: {', '.join(gates.failed)}." if gates.failed else ""
    own = f" {describe_changed_thresholds(gates.thresholds)}" if gates.thresholds else ""
    gone = "" if history.report else " The numbers behind the verdict are gone from the run."
    if history.unreadable:
        gone = f" The numbers behind the verdict are there, but cannot be read. {history.unreadable}"
    return f"Judged at {format_minute(gates.when)}, {beside}.{failed}{own}{gone}"


def _origin(history: VersionHistory) -> Iterator[tuple[str, str]]:
    yield "MLflow run", history.run_id
    yield "registered", format_minute(history.registered_at)
    yield "fingerprint", ", ".join(f"{part} {digest[:12]}" for part, digest in history.lineage.fingerprint.items())
    yield from list_code_versions(history).items()
