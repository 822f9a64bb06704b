"""Current and replaced score tables.

::

    scores/1998-03-01.parquet                       current table of this time
    scores/replaced/1998-03-01/3-0a1b2c3d4e5f.parquet   earlier table, by version 3, from inputs with that digest

A table never changes. Scoring again with another champion or with late data moves the earlier table to ``replaced``, so
that the scores used for actions can be compared with the outcomes.
"""

import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.settings import Settings
from feature_repo.source_hash import sha256
from holdfast.batch_scoring.scores_table import scores_path, timestamp_stem
from holdfast.core.atomic_files import replace_file
from holdfast.core.parquet_files import read_parquet_file
from holdfast.core.path_names import require_path_name
from holdfast.models.contract import ServedModel
from holdfast.shared_state.work_locks import work_lock

_METADATA_KEY = b"holdfast"


@dataclass(frozen=True)
class ScoreTable:
    """Stored score table.

    Attributes:
        as_of: Time of the scores.
        known_at: Arrival time of the last used batch.
        model_version: Version that scored.
        threshold: Decision threshold of the version.
        key: Digest of models and inputs.
        churn_key: Digest of the champion and its inputs, without the spend model.
        path: Parquet file.
        current: False for a replaced table.
    """

    as_of: datetime
    known_at: datetime
    model_version: str
    threshold: float
    key: str
    churn_key: str
    path: Path
    current: bool


def scores_lock(settings: Settings) -> AbstractContextManager[None]:
    """Return the lock for writing score tables; a second process finds the time scored.

    Args:
        settings: Settings with the place of the lock.

    Returns:
        The lock, not acquired.
    """
    return work_lock(settings, "scoring")


def scores_key(contract: ServedModel, as_of: datetime, known_at: datetime, spend: ServedModel | None = None) -> str:
    """Compute the digest of models and inputs of a score table.

    Args:
        contract: Contract of the model version.
        as_of: Time of the scores.
        known_at: Arrival time of the last batch with events before ``as_of``.
        spend: Contract of the spend model; None without one.

    Returns:
        SHA-256, hexadecimal.
    """
    contracts = [item.model_dump(mode="json") for item in (contract, spend) if item is not None]
    return sha256(json.dumps([*contracts, as_of.isoformat(), known_at.isoformat()]))


def current_score_table(settings: Settings, as_of: datetime) -> ScoreTable | None:
    """Find the current score table of a time.

    Args:
        settings: Settings with the data folder.
        as_of: Time of the scores.

    Returns:
        The table; None if there is none or it cannot be read.
    """
    return _read_table(scores_path(settings.scores, as_of), current=True)


def list_score_tables(settings: Settings) -> list[ScoreTable]:
    """List all score tables; :func:`holdfast.batch_scoring.scores_table.read_scores` reads one.

    Args:
        settings: Settings with the data folder.

    Returns:
        Tables sorted by time, for each time the current table last.
    """
    current = [_read_table(path, current=True) for path in settings.scores.glob("*.parquet")]
    known = {item.key for item in current if item}  # one that was replaced, and came back
    replaced = [_read_table(path, current=False) for path in settings.scores.glob("replaced/*/*.parquet")]
    found = [item for item in current if item] + [item for item in replaced if item and item.key not in known]
    return sorted(found, key=lambda item: (item.as_of, item.current, item.known_at, item.path.name))


def score_metadata(
    contract: ServedModel, as_of: datetime, known_at: datetime, spend: ServedModel | None = None
) -> dict[bytes, bytes]:
    """Build the file metadata of a score table.

    Args:
        contract: Contract of the model version.
        as_of: Time of the scores.
        known_at: Arrival time of the last batch with events before ``as_of``.
        spend: Contract of the spend model; None without one.

    Returns:
        Metadata for :func:`holdfast.batch_scoring.scores_table.write_scores`.
    """
    about = {
        "as_of": as_of.isoformat(),
        "known_at": known_at.isoformat(),
        "model_version": contract.model_version,
        "threshold": contract.threshold,
        "key": scores_key(contract, as_of, known_at, spend),
        "churn_key": scores_key(contract, as_of, known_at),
    }
    return {_METADATA_KEY: json.dumps(about).encode()}


def archive_previous(settings: Settings, earlier: ScoreTable) -> Path:
    """Copy a table to ``replaced`` before its replacement; after a kill in between it is in both places.

    Args:
        settings: Settings with the data folder.
        earlier: Table that is about to be replaced.

    Returns:
        Path of the copy.
    """
    folder = settings.scores / "replaced" / timestamp_stem(earlier.as_of)
    archived = folder / require_path_name(f"{earlier.model_version}-{earlier.key[:12]}.parquet", "file name")
    if not archived.exists():
        with replace_file(archived) as temporary:
            shutil.copyfile(earlier.path, temporary)
    return archived


def count_decisions(path: Path) -> tuple[int, int, int]:
    """Count the customers of a score table.

    Args:
        path: Parquet file.

    Returns:
        Number of all customers, of active customers, and of active customers that will churn.
    """
    table = read_parquet_file(path, columns=["active", "will_churn"])
    churning = pc.and_(table["active"], table["will_churn"])
    return table.num_rows, pc.sum(table["active"], min_count=0).as_py(), pc.sum(churning, min_count=0).as_py()


def sum_value_at_risk(path: Path) -> float | None:
    """Sum the value at risk of the active customers of a score table.

    Args:
        path: Parquet file.

    Returns:
        The sum; None for a table without expected spend.
    """
    if "value_at_risk" not in pq.read_schema(path).names:
        return None
    table = read_parquet_file(path, columns=["active", "value_at_risk"])
    total: float | None = pc.sum(table.filter(table["active"])["value_at_risk"]).as_py()
    return total


def _read_table(path: Path, current: bool) -> ScoreTable | None:
    try:
        about = json.loads((pq.read_schema(path).metadata or {})[_METADATA_KEY])
        return ScoreTable(
            as_of=datetime.fromisoformat(about["as_of"]),
            known_at=datetime.fromisoformat(about["known_at"]),
            model_version=about["model_version"],
            threshold=about["threshold"],
            key=about["key"],
            churn_key=about.get("churn_key", about["key"]),  # tables of early releases have no spend
            path=path,
            current=current,
        )
    except (FileNotFoundError, pa.ArrowException, KeyError, ValueError):  # foreign or damaged file
        return None
