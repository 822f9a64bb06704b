"""Materialises a snapshot into the online store, and remembers which one it holds."""

import contextlib
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feast import FeatureStore
from pydantic import TypeAdapter

from feature_repo.errors import HoldfastError
from feature_repo.settings import Settings
from feature_repo.source_hash import sha256, transformations_version
from flows.feature_store.snapshots import Snapshot
from flows.files import replace_file


@dataclass(frozen=True)
class OnlineState:
    """Which snapshot an online store holds; ``store`` tells stores apart, and says nothing of passwords."""

    as_of: datetime
    known_at: datetime
    transformations: str
    store: str = ""


_STATE = TypeAdapter(OnlineState)


class OlderThanOnlineError(HoldfastError):
    """The online store holds a later snapshot already."""


def online_state(settings: Settings) -> OnlineState | None:
    """The snapshot that the last finished materialisation wrote; None when one was cut short."""
    path = _state_path(settings)
    return _STATE.validate_json(path.read_bytes()) if path.exists() else None


def materialize(settings: Settings, store: FeatureStore, snapshot: Snapshot) -> bool:
    """Write the snapshots of ``snapshot.as_of`` to the online store; False when it holds them already.

    Feast's incremental mode starts from the wall clock less the ttl when it has no history, which misses
    every snapshot of a replayed past. A snapshot holds all customers, so its own moment is the range.

    Raises:
        OlderThanOnlineError: The online store would go back in time.
    """
    name = sha256(store.config.online_store.model_dump_json())
    wanted = OnlineState(snapshot.as_of, snapshot.known_at, transformations_version(), name)
    current = online_state(settings)
    if current == wanted:
        return False
    if current is not None and current.store != name:
        current = None  # another store was in use
    if current is not None and (current.as_of, current.known_at) > (wanted.as_of, wanted.known_at):
        raise OlderThanOnlineError(
            f"The online store serves {_moment(current)}; materialising {_moment(wanted)} would take it back, and "
            "leave what is newer in it. To look at the past, set HOLDFAST_DATA to "
            "another folder."
        )
    forget_online_state(settings)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        store.materialize(start_date=wanted.as_of, end_date=wanted.as_of)
    with replace_file(_state_path(settings)) as temporary:
        temporary.write_bytes(_STATE.dump_json(wanted))
    return True


def forget_online_state(settings: Settings) -> None:
    """Make the next run materialise again."""
    _state_path(settings).unlink(missing_ok=True)


def _moment(state: OnlineState) -> str:
    return f"{state.as_of:%Y-%m-%d %H:%M} UTC as known at {state.known_at:%Y-%m-%d %H:%M} UTC"


def _state_path(settings: Settings) -> Path:
    return settings.feast / "online_state.json"
