"""What is known of a model version: its past from lineage and recipe, its life from the registry."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from feature_repo.model_contract import CHAMPION, MODEL_NAME
from feature_repo.settings import Settings
from flows.ingestion.batches import Batch, list_batches
from flows.promotion.recording import Report, read_report
from flows.promotion.records import ApprovalRecord, GatesRecord, PromotionRecord, Record, RollbackRecord
from flows.promotion.registry import (
    CHALLENGER,
    UnknownVersionError,
    all_versions,
    challenger_version,
    champion_version,
    get_version,
)
from flows.provenance.arithmetic import Arithmetic
from flows.provenance.lineage_file import arithmetic_in, lineage_in
from flows.provenance.run_files import read_files
from flows.training.evaluation import EVALUATION_FILE, Evaluation
from flows.training.lineage import Lineage
from flows.training.recipe import RECIPE_FILE, Recipe
from flows.training.tracking import LINEAGE_FILE

_Record = TypeVar("_Record", bound=Record)


@dataclass(frozen=True)
class UsedBatch:
    """A batch that a model was trained on. ``manifest`` is None when it is no longer on disk."""

    batch_id: str
    manifest: Batch | None


@dataclass(frozen=True)
class History:
    """Everything that is recorded of a model version; None is what it has not, or not yet.

    ``successors`` are the versions that became champion after it; ``returns``, of versions after it, the rollbacks
    that made it the champion again. Both map a version to its record.
    """

    version: str
    aliases: list[str]
    registered_at: datetime
    run_id: str
    training_rows: int | None
    lineage: Lineage
    arithmetic: Arithmetic | None
    batches: list[UsedBatch]
    recipe: Recipe | None
    evaluation: Evaluation | None
    gates: GatesRecord | None
    report: Report | None
    approval: ApprovalRecord | None
    promotion: PromotionRecord | None
    rollback: RollbackRecord | None
    successors: dict[str, PromotionRecord]
    returns: dict[str, RollbackRecord]


def resolve_version(client: MlflowClient, name: str) -> ModelVersion:
    """A version by its number, or the one that ``champion`` or ``challenger`` names.

    Raises:
        UnknownVersionError: There is none.
    """
    named = {CHAMPION: champion_version, CHALLENGER: challenger_version}
    if name not in named:
        return get_version(client, name)
    number = named[name](client)
    if number is None:
        raise UnknownVersionError(f"{MODEL_NAME} has no {name}. Name a version by its number.")
    return get_version(client, number)


def history_of(client: MlflowClient, settings: Settings, version: str) -> History:
    """The history of one version: a number, ``champion`` or ``challenger``.

    Raises:
        UnknownVersionError: There is none.
        RunGoneError, NoLineageError: Its past cannot be read.
    """
    registered = resolve_version(client, version)
    number, tags, run_id = str(registered.version), registered.tags, str(registered.run_id)
    files = read_files(client, run_id, (LINEAGE_FILE, RECIPE_FILE, EVALUATION_FILE))
    lineage = lineage_in(files, f"{MODEL_NAME} version {number}, MLflow run {run_id}")
    manifests = {batch.batch_id: batch for batch in list_batches(settings)}
    gates = GatesRecord.in_tags(tags, number)
    rows = client.get_run(run_id).data.metrics.get("training_rows")
    return History(
        version=number,
        aliases=sorted(registered.aliases),
        registered_at=registered_at(registered),
        run_id=run_id,
        training_rows=None if rows is None else int(rows),
        lineage=lineage,
        arithmetic=arithmetic_in(files),
        batches=[UsedBatch(name, manifests.get(name)) for name in lineage.batches],
        recipe=Recipe.model_validate_json(files[RECIPE_FILE]) if RECIPE_FILE in files else None,
        evaluation=Evaluation.model_validate_json(files[EVALUATION_FILE]) if EVALUATION_FILE in files else None,
        gates=gates,
        report=read_report(client, number, gates.key) if gates else None,
        approval=ApprovalRecord.in_tags(tags, number),
        promotion=PromotionRecord.in_tags(tags, number),
        rollback=RollbackRecord.in_tags(tags, number),
        successors={name: item for name, item in _records(client, PromotionRecord) if item.previous == number},
        returns={name: item for name, item in _records(client, RollbackRecord) if item.to == number},
    )


def _records(client: MlflowClient, kind: type[_Record]) -> list[tuple[str, _Record]]:
    """The records of a kind, by version."""
    found = [(str(item.version), kind.in_tags(item.tags, str(item.version))) for item in all_versions(client)]
    return [(version, record) for version, record in found if record is not None]


def registered_at(version: ModelVersion) -> datetime:
    """When it came into the registry, to the second."""
    return datetime.fromtimestamp(int(version.creation_timestamp or 0) // 1000, UTC)
