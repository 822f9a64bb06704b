"""Model versions that were trained on a batch."""

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
    """No batch, or more than one, has an id with this beginning."""


@dataclass(frozen=True)
class DerivedVersion:
    """Version that was trained on a batch."""

    version: str
    aliases: list[str]
    registered_at: datetime
    as_of: datetime
    known_at: datetime
    description: str


@dataclass(frozen=True)
class BatchHistory:
    """Batch with its versions, oldest first. ``unreadable``: reason by version whose lineage cannot be read."""

    batch: UsedBatch
    versions: list[DerivedVersion]
    unreadable: dict[str, str]


def load_batch_history(client: MlflowClient, settings: Settings, name: str) -> BatchHistory:
    """Find the versions that were trained on a batch.

    Args:
        client: Client of the registry.
        settings: Name the folder of batches.
        name: Id of the batch or its beginning; the batch need not be on disk.

    Returns:
        The batch and its versions.

    Raises:
        UnknownBatchError: No batch or several batches have such an id.
    """
    manifests = {batch.batch_id: batch for batch in list_batches(settings)}
    used: dict[str, list[DerivedVersion]] = {}
    unreadable = {}
    versions = sorted(list_versions(client), key=lambda item: int(item.version))
    # The result of the search has no aliases.
    aliases = client.get_registered_model(MODEL_NAME).aliases if versions else {}
    for item in versions:
        number, run_id = str(item.version), str(item.run_id)
        try:
            lineage = parse_lineage(read_files(client, run_id, [LINEAGE_FILE]), f"MLflow run {run_id}")
        except (RunUnavailableError, NoLineageError) as error:
            unreadable[number] = str(error)
            continue
        derived = DerivedVersion(
            number,
            sorted(name for name, version in aliases.items() if str(version) == number),
            registration_time(item),
            lineage.as_of,
            lineage.known_at,
            item.description or "",
        )
        for batch_id in lineage.batches:
            used.setdefault(batch_id, []).append(derived)
    batch_id = _match_id(name, manifests.keys() | used.keys(), settings)
    return BatchHistory(UsedBatch(batch_id, manifests.get(batch_id)), used.get(batch_id, []), unreadable)


def _match_id(name: str, known: set[str], settings: Settings) -> str:
    found = sorted(batch_id for batch_id in known if name and batch_id.startswith(name))
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownBatchError(f"{len(found)} batch ids begin with {name}: {', '.join(found[:5])}. Give more digits.")
    raise UnknownBatchError(
        f"No batch {name!r} in {settings.batches} or in the lineage of a version. The folders there are named by "
        "batch id."
    )
