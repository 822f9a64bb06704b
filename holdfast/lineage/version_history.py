"""History of a model version: data and training from its run, events from the registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from mlflow.entities.model_registry import ModelVersion
from pydantic import Field, ValidationError

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.core.identity import Person
from holdfast.ingestion.batches import Batch, find_successors, list_batches
from holdfast.model_versions.aliases import resolve_version
from holdfast.model_versions.champion_history import read_champion_history
from holdfast.model_versions.records import (
    ApprovalRecord,
    GatesRecord,
    PromotionRecord,
    RollbackRecord,
    VersionEvent,
    parse_events,
)
from holdfast.promotion.gate_report import BadReportError, GateReport, read_report
from holdfast.training.evaluation_report import EVALUATION_FILE, Evaluation
from holdfast.training.lineage import LINEAGE, Lineage
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.mlflow_tracking import LINEAGE_FILE, parse_evaluation
from holdfast.training.numeric_environment import NumericEnvironment
from holdfast.training.recipe import RECIPE_FILE, Recipe
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.run_artifacts import read_files
from holdfast.training.trainer import parse_trainer


@dataclass(frozen=True)
class UsedBatch:
    """Batch that a model was trained on.

    Attributes:
        manifest: None if the batch is no longer on disk.
        replaced_by: Correction that replaced the batch; None for a valid batch.
    """

    batch_id: str
    manifest: Batch | None
    replaced_by: Batch | None = None


@dataclass(frozen=True)
class VersionHistory:
    """Records of a model version; None for what is not recorded or has not happened.

    Attributes:
        version: Number.
        aliases: ``champion``, ``challenger``, or none.
        registered_at: To the second, UTC.
        run_id: MLflow run.
        training_rows: Number of rows that the model was fitted on.
        lineage: Batches, times, definitions and code.
        numeric_environment: That of the training; in JSON ``arithmetic``.
        batches: Batches of the lineage.
        recipe: Fitted model and its cut-offs.
        evaluation: Results on the test period.
        gates: Latest verdict.
        report: Measurements behind ``gates``.
        approval: Latest request, as of now.
        promotion: Latest promotion that moved the alias.
        rollback: Latest rollback of this version.
        successors: Promotions that replaced this version, each with the number of the new champion.
        returns: Rollbacks that made this version the champion again, each with the number of the replaced version.
        events: All stored events, oldest first.
        unreadable: Reason why an existing report cannot be read.
        trainer: Person or program that trained the version.
    """

    version: str
    aliases: list[str]
    registered_at: datetime
    run_id: str
    training_rows: int | None
    lineage: Lineage
    numeric_environment: Annotated[NumericEnvironment | None, Field(serialization_alias="arithmetic")]
    batches: list[UsedBatch]
    recipe: Recipe | None
    evaluation: Evaluation | RegressionEvaluation | None
    gates: GatesRecord | None
    report: GateReport | None
    approval: ApprovalRecord | None
    promotion: PromotionRecord | None
    rollback: RollbackRecord | None
    successors: list[tuple[str, PromotionRecord]]
    returns: list[tuple[str, RollbackRecord]]
    events: list[VersionEvent] = field(default_factory=list)
    unreadable: str = ""
    trainer: Person | None = None


def load_version_history(
    client: ModelClient, settings: Settings, version: str, now: datetime | None = None
) -> VersionHistory:
    """Read the history of a version.

    Args:
        client: Client of the registry.
        settings: Name the folder of batches.
        version: Number, ``champion`` or ``challenger``.
        now: Time at which an open approval is evaluated; by default the current time.

    Returns:
        The history.

    Raises:
        UnknownVersionError: The version does not exist.
        RunUnavailableError, NoLineageError: The records of the run cannot be read.
    """
    registered = resolve_version(client, version)
    number, tags, run_id = str(registered.version), registered.tags, str(registered.run_id)
    files = read_files(client, run_id, (LINEAGE_FILE, RECIPE_FILE, EVALUATION_FILE))
    lineage = parse_lineage(files, f"{client.model_name} version {number}, MLflow run {run_id}")
    batches = list_batches(settings)
    manifests, successors = {batch.batch_id: batch for batch in batches}, find_successors(batches)
    gates, approval = GatesRecord.from_tags(tags, number), ApprovalRecord.from_tags(tags, number)
    history = read_champion_history(client)
    promotions = history.promotions.get(number, [])
    report, unreadable = _report(client, number, gates)
    rows = client.get_run(run_id).data.metrics.get("training_rows")
    return VersionHistory(
        version=number,
        aliases=sorted(registered.aliases),
        registered_at=registration_time(registered),
        run_id=run_id,
        training_rows=None if rows is None else int(rows),
        lineage=lineage,
        numeric_environment=lineage.numeric_environment,
        batches=[UsedBatch(name, manifests.get(name), successors.get(name)) for name in lineage.batches],
        recipe=Recipe.model_validate_json(files[RECIPE_FILE]) if RECIPE_FILE in files else None,
        evaluation=parse_evaluation(client.model_name, files[EVALUATION_FILE]) if EVALUATION_FILE in files else None,
        gates=gates,
        report=report,
        approval=approval.evaluate_at(now or datetime.now(UTC)) if approval else None,
        promotion=promotions[-1] if promotions else None,
        rollback=history.rollbacks[number][-1] if history.rollbacks.get(number) else None,
        successors=[
            (name, promotion)
            for name, found in history.promotions.items()
            for promotion in found
            if promotion.previous == number
        ],
        returns=history.list_returns_to(number),
        events=parse_events(tags, number) or [],
        unreadable=unreadable,
        trainer=parse_trainer(tags),
    )


def _report(client: ModelClient, version: str, gates: GatesRecord | None) -> tuple[GateReport | None, str]:
    """Read the report behind a verdict; the text is the reason why an existing one cannot be read."""
    try:
        return read_report(client, version, gates.key) if gates else None, ""
    except BadReportError as error:
        return None, str(error)


def registration_time(version: ModelVersion) -> datetime:
    """Return the time at which a version was registered.

    Args:
        version: Registered version.

    Returns:
        The time in UTC, to the second.
    """
    return datetime.fromtimestamp(int(version.creation_timestamp or 0) // 1000, UTC)


class NoLineageError(HoldfastError):
    """The run of a version has no readable lineage."""


def parse_lineage(files: Mapping[str, bytes], where: str) -> Lineage:
    """Parse the lineage of a run.

    Args:
        files: Name to content.
        where: Version and run, for the message.

    Returns:
        The lineage.

    Raises:
        NoLineageError: The file is missing or invalid.
    """
    if LINEAGE_FILE not in files:
        raise NoLineageError(f"{where} has no {LINEAGE_FILE}: `python -m flows.train` did not train it.")
    try:
        return LINEAGE.validate_json(files[LINEAGE_FILE])
    except ValidationError as error:
        raise NoLineageError(
            f"{where}: {LINEAGE_FILE} is invalid ({error.errors()[0]['msg']}). Restore it from a backup of the run."
        ) from error
