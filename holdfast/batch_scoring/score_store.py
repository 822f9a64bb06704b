"""The tables of scores that are kept: one per moment to act on, and those that it replaced.

::

    scores/1998-03-01.parquet                       what holds: by the champion that scored this moment last
    scores/replaced/1998-03-01/3-0a1b2c3d4e5f.parquet   what held before: by version 3, from the inputs of that digest

A table is never changed. Scored again by another champion, or from data that arrived later, the earlier one moves to
``replaced``: what was acted on can be held against what then happened.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from feature_repo.settings import Settings
from feature_repo.source_hash import sha256
from holdfast.batch_scoring.scores_table import scores_path, timestamp_stem
from holdfast.core.atomic_files import replace_file
from holdfast.models.contract import ServedModel

_ABOUT = b"holdfast"


@dataclass(frozen=True)
class ScoreTable:
    """A kept table. ``key`` is the same for the same model and inputs; ``current``: it holds, none replaced it."""

    as_of: datetime
    known_at: datetime
    model_version: str
    threshold: float
    key: str
    path: Path
    current: bool


def scores_lock(settings: Settings) -> FileLock:
    """Held by who scores a moment: who comes second finds it scored."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.data / "scores.lock")


def scores_key(contract: ServedModel, as_of: datetime, known_at: datetime) -> str:
    """Names the model and its inputs: data before ``as_of`` whose last batch arrived at ``known_at``."""
    return sha256(json.dumps([contract.model_dump(mode="json"), as_of.isoformat(), known_at.isoformat()]))


def current_score_table(settings: Settings, as_of: datetime) -> ScoreTable | None:
    """The table that holds for a moment; None where there is none that can be read."""
    return _scored(scores_path(settings.scores, as_of), current=True)


def list_score_tables(settings: Settings) -> list[ScoreTable]:
    """Every kept table, by moment, the current one of each last; read one with ``scores.read_scores``."""
    current = [_scored(path, current=True) for path in settings.scores.glob("*.parquet")]
    known = {item.key for item in current if item}  # one that was replaced, and came back
    replaced = [_scored(path, current=False) for path in settings.scores.glob("replaced/*/*.parquet")]
    found = [item for item in current if item] + [item for item in replaced if item and item.key not in known]
    return sorted(found, key=lambda item: (item.as_of, item.current, item.known_at, item.path.name))


def score_metadata(contract: ServedModel, as_of: datetime, known_at: datetime) -> dict[bytes, bytes]:
    """What the file of a table says of it, for ``write_scores``."""
    told = {
        "as_of": as_of.isoformat(),
        "known_at": known_at.isoformat(),
        "model_version": contract.model_version,
        "threshold": contract.threshold,
        "key": scores_key(contract, as_of, known_at),
    }
    return {_ABOUT: json.dumps(told).encode()}


def archive_previous(settings: Settings, earlier: ScoreTable) -> Path:
    """Copy the table that is about to be replaced to where it stays; killed in between, it is in both places."""
    folder = settings.scores / "replaced" / timestamp_stem(earlier.as_of)
    place = folder / f"{earlier.model_version}-{earlier.key[:12]}.parquet"
    if not place.exists():
        with replace_file(place) as temporary:
            shutil.copyfile(earlier.path, temporary)
    return place


def count_customers(path: Path, columns: Sequence[str]) -> dict[tuple[bool, ...], int]:
    """How many customers have each combination of the boolean ``columns``."""
    found = pq.read_table(path, columns=list(columns)).group_by(list(columns)).aggregate([([], "count_all")])
    return {tuple(row[name] for name in columns): row["count_all"] for row in found.to_pylist()}


def _scored(path: Path, current: bool) -> ScoreTable | None:
    try:
        about = json.loads((pq.read_schema(path).metadata or {})[_ABOUT])
        return ScoreTable(
            as_of=datetime.fromisoformat(about["as_of"]),
            known_at=datetime.fromisoformat(about["known_at"]),
            model_version=about["model_version"],
            threshold=about["threshold"],
            key=about["key"],
            path=path,
            current=current,
        )
    except (FileNotFoundError, pa.ArrowException, KeyError, ValueError):  # somebody else's file, or damaged
        return None
