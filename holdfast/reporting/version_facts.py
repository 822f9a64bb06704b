"""Facts of a model card that models of every kind have, from the records of the version only."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from holdfast.core.formatting import format_count, format_cutoffs, format_minute
from holdfast.lineage.version_history import VersionHistory
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.models.declaration import model_option, registered_name
from holdfast.reporting.lineage_tree import format_batches, list_code_versions
from holdfast.training.recipe import Recipe


def list_age_limits(history: VersionHistory, recipe: Recipe) -> Iterator[str]:
    """List the warnings of the gates and the limits by the age of the outcomes.

    Args:
        history: History of the version.
        recipe: Fitted model and its cut-offs.

    Yields:
        Sentences.
    """
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


def describe_season(history: VersionHistory, days: int | None = None) -> Iterator[str]:
    """Describe a history that is shorter than two years.

    Args:
        history: History of the version.
        days: Days of history; None for those between the first and the last transaction.

    Yields:
        At most one sentence.
    """
    if days is None:
        manifests = [batch.manifest for batch in history.batches if batch.manifest]
        sales = [manifest for manifest in manifests if manifest.kind == "transactions"]
        first = min((item.first_event for item in sales if item.first_event), default=None)
        last = max((item.last_event for item in sales if item.last_event), default=None)
        days = (last - first).days if first and last else None
    if days is not None and days < 2 * 365:
        yield f"The data cover {format_count(days, 'day')}, less than two years: season and trend cannot be separated."


def describe_missing_attributes(history: VersionHistory) -> Iterator[str]:
    """Describe that the data have no attributes of people.

    Args:
        history: History of the version.

    Yields:
        At most one sentence.
    """
    if all(batch.manifest.kind == "transactions" for batch in history.batches if batch.manifest):
        yield (
            "The data are purchases only. Groups by age, sex, origin or residence were not evaluated: the data lack "
            "them."
        )


def min_slice_rows(history: VersionHistory) -> int:
    """Return the rows from which the gates evaluate a group; 0 without a report of the gates.

    Args:
        history: History of the version.

    Returns:
        Number of rows.
    """
    return history.report.settings.min_slice_rows if history.report else 0


def list_data_facts(
    history: VersionHistory, recipe: Recipe, label: str, outcome: str, notes: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """List data, label and windows of a version.

    Args:
        history: History of the version.
        recipe: Fitted model and its cut-offs.
        label: What the model predicts.
        outcome: Rows and outcome of the test period.
        notes: Sentences on gaps in the data.

    Yields:
        Name and text of each fact.
    """
    lineage = history.lineage
    for line in format_batches(history.batches):
        yield "data", line.removesuffix(" (--json lists all)")
    yield "known at", f"{format_minute(lineage.known_at)}: later arrivals were not used"
    yield "label", label
    yield "customers", lineage.terms.describe_customers()
    rows = f", {format_count(history.training_rows, 'row')}" if history.training_rows else ""
    yield "trained on", f"monthly cut-offs {format_cutoffs(recipe.shipped)}{rows}"
    yield "selected on", f"folds before the test, validated at {format_cutoffs([f.validation for f in recipe.folds])}"
    for note in notes:
        yield "history", note
    yield (
        "embargo",
        f"{format_count(lineage.terms.outcome_days, 'day')}: no outcome behind the tested model lies in the test "
        "period",
    )
    yield "tested on", f"{format_cutoffs(recipe.test)}, {outcome}"


def describe_gates_verdict(history: VersionHistory) -> str:
    """Describe the verdict of the gates with the number of gates that gave it.

    Args:
        history: History of the version.

    Returns:
        Text for the head of the card.
    """
    if history.gates is None:
        return "not evaluated yet"
    if history.report is None:
        return history.gates.verdict
    evaluated = [gate for gate in history.report.gates if gate.verdict != "not applicable"]
    count = sum(gate.verdict == history.gates.verdict for gate in evaluated)
    return f"{history.gates.verdict}: {count} of {len(evaluated)}"


def describe_gates(history: VersionHistory) -> str:
    """Describe time, baseline and thresholds of the gates.

    Args:
        history: History of the version.

    Returns:
        Sentences.
    """
    gates = history.gates
    if gates is None:
        return f"Not evaluated yet: python -m flows.gates --version {history.version}{command_option(history)}."
    baseline = f"compared with champion version {gates.champion}" if gates.champion else "without a champion"
    failed = f" It failed: {', '.join(gates.failed)}." if gates.failed else ""
    changed = f" {describe_changed_thresholds(gates.thresholds)}" if gates.thresholds else ""
    missing = "" if history.report else " The measurements behind the verdict are no longer in the run."
    if history.unreadable:
        missing = f" The measurements behind the verdict cannot be read: {history.unreadable}"
    return f"Evaluated at {format_minute(gates.when)}, {baseline}.{failed}{changed}{missing}"


def list_origin(history: VersionHistory) -> Iterator[tuple[str, str]]:
    """List run, registration, definitions and code of a version.

    Args:
        history: History of the version.

    Yields:
        Name and text of each fact.
    """
    yield "MLflow run", history.run_id
    yield "registered", format_minute(history.registered_at)
    yield "fingerprint", ", ".join(f"{part} {digest[:12]}" for part, digest in history.lineage.fingerprint.items())
    yield from list_code_versions(history).items()


def command_option(history: VersionHistory) -> str:
    """Return the option by which commands name the model of a version.

    Args:
        history: History of the version.

    Returns:
        The option; empty for churn.
    """
    return model_option(registered_name(history.lineage.model))
