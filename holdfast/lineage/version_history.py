"""What is known of a model version: its past from lineage and recipe, its life from the registry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import ValidationError

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.batches import Batch, list_batches
from holdfast.model_versions.aliases import (
    UnknownVersionError,
    get_challenger_version,
    get_champion_version,
    get_version,
)
from holdfast.model_versions.champion_history import read_champion_history
from holdfast.model_versions.records import (
    ApprovalRecord,
    GatesRecord,
    PromotionRecord,
    RetrainingRecord,
    RollbackRecord,
    RolloutRecord,
    TrafficRecord,
    parse_events,
)
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.promotion.gate_report import BadReportError, GateReport, read_report
from holdfast.runtime.run_artifacts import read_files
from holdfast.training.evaluation_report import EVALUATION_FILE, Evaluation
from holdfast.training.lineage import LINEAGE, Lineage
from holdfast.training.mlflow_tracking import LINEAGE_FILE
from holdfast.training.numeric_environment import NUMERIC_ENVIRONMENT, NumericEnvironment
from holdfast.training.recipe import RECIPE_FILE, Recipe

Event = (
    GatesRecord | ApprovalRecord | PromotionRecord | RollbackRecord | TrafficRecord | RolloutRecord | RetrainingRecord
)


@dataclass(frozen=True)
class UsedBatch:
    """A batch that a model was trained on. ``manifest`` is None when it is no longer on disk."""

    batch_id: str
    manifest: Batch | None


@dataclass(frozen=True)
class VersionHistory:
    """Everything that is recorded of a model version; None is what it has not, or not yet.

    ``gates`` to ``rollback`` are the latest of their kind, an approval as it stands now and a promotion only if it
    moved the alias; ``events`` are all that were kept. ``successors`` are the promotions after it, and ``returns`` the
    rollbacks that made it the champion again, each with the version that it is recorded on. ``unreadable`` says why a
    report that is there cannot be read.
    """

    version: str
    aliases: list[str]
    registered_at: datetime
    run_id: str
    training_rows: int | None
    lineage: Lineage
    arithmetic: NumericEnvironment | None
    batches: list[UsedBatch]
    recipe: Recipe | None
    evaluation: Evaluation | None
    gates: GatesRecord | None
    report: GateReport | None
    approval: ApprovalRecord | None
    promotion: PromotionRecord | None
    rollback: RollbackRecord | None
    successors: list[tuple[str, PromotionRecord]]
    returns: list[tuple[str, RollbackRecord]]
    events: list[Event] = field(default_factory=list)
    unreadable: str = ""


def resolve_version(client: MlflowClient, name: str) -> ModelVersion:
    """A version by its number, or the one that ``champion`` or ``challenger`` names.

    Raises:
        UnknownVersionError: There is none.
    """
    named = {CHAMPION: get_champion_version, CHALLENGER: get_challenger_version}
    if name not in named:
        return get_version(client, name)
    number = named[name](client)
    if number is None:
        raise UnknownVersionError(f"{MODEL_NAME} has no {name}. Name a version by its number.")
    return get_version(client, number)


def load_version_history(
    client: MlflowClient, settings: Settings, version: str, now: datetime | None = None
) -> VersionHistory:
    """The history of one version, a number, ``champion`` or ``challenger``, as it stands at ``now``.

    Raises:
        UnknownVersionError: There is none.
        RunUnavailableError, NoLineageError: Its past cannot be read.
    """
    registered = resolve_version(client, version)
    number, tags, run_id = str(registered.version), registered.tags, str(registered.run_id)
    files = read_files(client, run_id, (LINEAGE_FILE, RECIPE_FILE, EVALUATION_FILE))
    lineage = parse_lineage(files, f"{MODEL_NAME} version {number}, MLflow run {run_id}")
    manifests = {batch.batch_id: batch for batch in list_batches(settings)}
    gates, approval = GatesRecord.from_tags(tags, number), ApprovalRecord.from_tags(tags, number)
    past = read_champion_history(client)
    promotions = past.promotions.get(number, [])
    report, unreadable = _report(client, number, gates)
    rows = client.get_run(run_id).data.metrics.get("training_rows")
    return VersionHistory(
        version=number,
        aliases=sorted(registered.aliases),
        registered_at=registration_time(registered),
        run_id=run_id,
        training_rows=None if rows is None else int(rows),
        lineage=lineage,
        arithmetic=parse_numeric_environment(files),
        batches=[UsedBatch(name, manifests.get(name)) for name in lineage.batches],
        recipe=Recipe.model_validate_json(files[RECIPE_FILE]) if RECIPE_FILE in files else None,
        evaluation=Evaluation.model_validate_json(files[EVALUATION_FILE]) if EVALUATION_FILE in files else None,
        gates=gates,
        report=report,
        approval=approval.evaluate_at(now or datetime.now(UTC)) if approval else None,
        promotion=promotions[-1] if promotions else None,
        rollback=past.rollbacks[number][-1] if past.rollbacks.get(number) else None,
        successors=[
            (name, item) for name, found in past.promotions.items() for item in found if item.previous == number
        ],
        returns=past.list_returns_to(number),
        events=cast(list[Event], parse_events(tags, number) or []),
        unreadable=unreadable,
    )


def _report(client: MlflowClient, version: str, gates: GatesRecord | None) -> tuple[GateReport | None, str]:
    """The report behind a verdict, and why one that is there cannot be read."""
    try:
        return read_report(client, version, gates.key) if gates else None, ""
    except BadReportError as error:
        return None, str(error)


def registration_time(version: ModelVersion) -> datetime:
    """When it came into the registry, to the second."""
    return datetime.fromtimestamp(int(version.creation_timestamp or 0) // 1000, UTC)


class NoLineageError(HoldfastError):
    """The run of a version does not say where it came from."""


def parse_lineage(files: Mapping[str, bytes], where: str) -> Lineage:
    """The lineage among the files of a run.

    Raises:
        NoLineageError: It is not there, or nothing that Holdfast wrote.
    """
    if LINEAGE_FILE not in files:
        raise NoLineageError(f"{where} has no {LINEAGE_FILE}: `python -m flows.train` did not make it.")
    try:
        return LINEAGE.validate_json(files[LINEAGE_FILE])
    except ValidationError as error:
        raise NoLineageError(
            f"{where}: {LINEAGE_FILE} is not as Holdfast writes it ({error.errors()[0]['msg']}). "
            "Restore it from a backup of the run."
        ) from error


def parse_numeric_environment(files: Mapping[str, bytes]) -> NumericEnvironment | None:
    """What a model was computed with, where its lineage says so."""
    told = json.loads(files[LINEAGE_FILE]).get("arithmetic")
    return NUMERIC_ENVIRONMENT.validate_python(told) if told else None
