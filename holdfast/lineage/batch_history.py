"""Model versions that were trained on a batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.batches import find_successors, list_batches
from holdfast.lineage.version_history import NoLineageError, UsedBatch, parse_lineage, registration_time
from holdfast.model_versions.aliases import list_versions
from holdfast.models.declaration import list_models, model_option, registered_name
from holdfast.training.mlflow_client import ModelClient, UnknownVersionError, open_registry
from holdfast.training.mlflow_tracking import LINEAGE_FILE
from holdfast.training.run_artifacts import RunUnavailableError, read_files


class UnknownBatchError(HoldfastError):
    """No batch, or more than one, has an id with this beginning."""


@dataclass(frozen=True)
class DerivedVersion:
    """Version that was trained on a batch."""

    model_name: str
    version: str
    aliases: list[str]
    registered_at: datetime
    as_of: datetime
    known_at: datetime
    description: str


@dataclass(frozen=True)
class BatchHistory:
    """Batch with its versions by model, oldest first.

    Attributes:
        unreadable: Model and version to the reason why its lineage cannot be read.
    """

    batch: UsedBatch
    versions: list[DerivedVersion]
    unreadable: dict[str, str]


def load_batch_history(settings: Settings, name: str) -> BatchHistory:
    """Find the versions that were trained on a batch.

    Args:
        settings: Name the folder of batches and the registry.
        name: Id of the batch or its beginning; the batch need not be on disk.

    Returns:
        The batch and its versions.

    Raises:
        UnknownBatchError: No batch or several batches have such an id.
    """
    batches = list_batches(settings)
    manifests = {batch.batch_id: batch for batch in batches}
    used, unreadable = _read_used(settings)
    batch_id = _match_id(name, manifests.keys() | used.keys(), settings)
    batch = UsedBatch(batch_id, manifests.get(batch_id), find_successors(batches).get(batch_id))
    return BatchHistory(batch, used.get(batch_id, []), unreadable)


def describe_affected_versions(settings: Settings, batch_ids: Iterable[str]) -> str:
    """Describe the versions that were trained on replaced batches, for the person who replaced them.

    Args:
        settings: Settings with the registry, which need not exist.
        batch_ids: Ids of the replaced batches.

    Returns:
        A sentence.
    """
    try:
        used, unreadable = _read_used(settings)
    except UnknownVersionError:
        used, unreadable = {}, {}
    except (MlflowException, OSError) as error:
        return f"The registry cannot be read ({error}): the versions trained on the replaced rows are not known."
    affected = {(item.model_name, int(item.version)): item for batch_id in batch_ids for item in used.get(batch_id, [])}
    unknown = f" The lineage of {', '.join(unreadable)} cannot be read." if unreadable else ""
    if not affected:
        return f"No registered model version was trained on the replaced rows.{unknown}"
    names = [
        f"{item.model_name} version {item.version}{f' ({aliases})' if (aliases := ', '.join(item.aliases)) else ''}"
        for _, item in sorted(affected.items())
    ]
    commands = [f"`python -m flows.train{model_option(name)}`" for name in sorted({name for name, _ in affected})]
    return (
        f"Model versions trained on the replaced rows: {', '.join(names)}. Run `python -m flows.features`, then "
        f"{' and '.join(commands)}, for versions of the corrected rows.{unknown}"
    )


def _read_used(settings: Settings) -> tuple[dict[str, list[DerivedVersion]], dict[str, str]]:
    """Read the versions of every model by batch, and the reason by version whose lineage cannot be read."""
    used: dict[str, list[DerivedVersion]] = {}
    unreadable: dict[str, str] = {}
    for model in list_models():
        _read_used_by_model(open_registry(settings, registered_name(model)), used, unreadable)
    return used, unreadable


def _read_used_by_model(client: ModelClient, used: dict[str, list[DerivedVersion]], unreadable: dict[str, str]) -> None:
    versions = sorted(list_versions(client), key=lambda item: int(item.version))
    # The result of the search has no aliases.
    aliases = client.get_registered_model(client.model_name).aliases if versions else {}
    for item in versions:
        number, run_id = str(item.version), str(item.run_id)
        try:
            lineage = parse_lineage(read_files(client, run_id, [LINEAGE_FILE]), f"MLflow run {run_id}")
        except (RunUnavailableError, NoLineageError) as error:
            unreadable[f"{client.model_name} version {number}"] = str(error)
            continue
        derived = DerivedVersion(
            client.model_name,
            number,
            sorted(name for name, version in aliases.items() if str(version) == number),
            registration_time(item),
            lineage.as_of,
            lineage.known_at,
            item.description or "",
        )
        for batch_id in lineage.batches:
            used.setdefault(batch_id, []).append(derived)


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
