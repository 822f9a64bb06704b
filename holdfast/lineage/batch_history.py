"""From a data batch to every model version that was made from it."""

from dataclasses import dataclass
from datetime import datetime

from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.batches import list_batches
from holdfast.lineage.version_history import NoLineageError, UsedBatch, parse_lineage, registration_time
from holdfast.model_versions.aliases import list_versions
from holdfast.models.contract import MODEL_NAME
from holdfast.runtime.run_artifacts import RunUnavailableError, read_files
from holdfast.training.mlflow_tracking import LINEAGE_FILE


class UnknownBatchError(HoldfastError):
    """No batch, or more than one, has such an id."""


@dataclass(frozen=True)
class DerivedVersion:
    """A version that was made from a batch."""

    version: str
    aliases: list[str]
    registered_at: datetime
    as_of: datetime
    known_at: datetime
    description: str


@dataclass(frozen=True)
class BatchHistory:
    """A batch and what was made from it, oldest first. ``unreadable``: versions whose past cannot be read, and why."""

    batch: UsedBatch
    versions: list[DerivedVersion]
    unreadable: dict[str, str]


def load_batch_history(client: MlflowClient, settings: Settings, name: str) -> BatchHistory:
    """The history of the batch whose id is, or begins with, ``name``; it need not be on disk any more.

    Raises:
        UnknownBatchError: No batch has it, or several.
    """
    manifests = {batch.batch_id: batch for batch in list_batches(settings)}
    used: dict[str, list[DerivedVersion]] = {}
    unreadable = {}
    versions = sorted(list_versions(client), key=lambda item: int(item.version))
    # The search leaves the aliases out.
    aliases = client.get_registered_model(MODEL_NAME).aliases if versions else {}
    for item in versions:
        number, run_id = str(item.version), str(item.run_id)
        try:
            lineage = parse_lineage(read_files(client, run_id, [LINEAGE_FILE]), f"MLflow run {run_id}")
        except (RunUnavailableError, NoLineageError) as error:
            unreadable[number] = str(error)
            continue
        touched = DerivedVersion(
            number,
            sorted(name for name, version in aliases.items() if str(version) == number),
            registration_time(item),
            lineage.as_of,
            lineage.known_at,
            item.description or "",
        )
        for batch_id in lineage.batches:
            used.setdefault(batch_id, []).append(touched)
    batch_id = _the_one(name, manifests.keys() | used.keys(), settings)
    return BatchHistory(UsedBatch(batch_id, manifests.get(batch_id)), used.get(batch_id, []), unreadable)


def _the_one(name: str, known: set[str], settings: Settings) -> str:
    found = sorted(batch_id for batch_id in known if name and batch_id.startswith(name))
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownBatchError(f"{len(found)} batches begin with {name}: {', '.join(found[:5])}. Give more digits.")
    raise UnknownBatchError(
        f"No batch {name!r} in {settings.batches}, and no model version was made from one. The ids of the batches are "
        "the names of the folders there."
    )
