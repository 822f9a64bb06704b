"""Materialises a snapshot into the online store, and remembers which one it holds."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feast import FeatureStore
from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from feature_repo.source_hash import sha256, transformations_version
from feature_repo.timestamps import NO_TIME
from feature_repo.transformations import BUILDERS
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.feature_store.snapshots import Snapshot, read_customers, snapshot_path
from holdfast.online_features.reader import OnlineReader


@dataclass(frozen=True)
class OnlineState:
    """Which snapshot an online store holds; ``store`` tells stores apart, and says nothing of passwords."""

    as_of: datetime
    known_at: datetime
    transformations: str
    store: str = ""


_STATE = TypeAdapter(OnlineState)


class OnlineStoreNewerError(HoldfastError):
    """The online store holds a later snapshot already."""


class UnserveableStoreError(HoldfastError):
    """The online store does not return the features that were materialized into it."""


def load_online_state(settings: Settings) -> OnlineState | None:
    """The snapshot that the last finished materialisation wrote; None when one was cut short."""
    path = _state_path(settings)
    return _STATE.validate_json(path.read_bytes()) if path.exists() else None


def features_lock(settings: Settings) -> FileLock:
    """Held by whoever changes the registry or the online store: one at a time."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.data / "features.lock")


def is_materializing(settings: Settings) -> bool:
    """Whether a run may be at work on the online store right now; its state is of no known time meanwhile."""
    try:
        with features_lock(settings).acquire(blocking=False):
            return False
    except Timeout:
        return True


def materialize(settings: Settings, store: FeatureStore, snapshot: Snapshot) -> bool:
    """Write the snapshots of ``snapshot.as_of`` to the online store; False when it holds them already.

    A store that has lost them, as a server without persistence does when it is restarted, is filled again.

    Feast's incremental mode starts from the wall clock less the ttl when it has no history, which misses
    every snapshot of a replayed past. A snapshot holds all customers, so its own moment is the range.

    Raises:
        OlderThanOnlineError: The online store would go back in time.
    """
    name = sha256(store.config.online_store.model_dump_json())
    wanted = OnlineState(snapshot.as_of, snapshot.known_at, transformations_version(), name)
    current = load_online_state(settings)
    if current == wanted and not count_missing_customers(store, read_customers(snapshot)):
        return False
    if current is not None and current.store != name:
        current = None  # another store was in use
    if current is not None and (current.as_of, current.known_at) > (wanted.as_of, wanted.known_at):
        raise OnlineStoreNewerError(
            f"The online store serves {_moment(current)}; materialising {_moment(wanted)} would take it back, and "
            "leave what is newer in it. To look at the past, set HOLDFAST_DATA to "
            "another folder."
        )
    delete_online_state(settings)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        store.materialize(start_date=wanted.as_of, end_date=wanted.as_of)
    mark_filled = getattr(store.provider.online_store, "mark_filled", None)
    if mark_filled is not None:
        mark_filled(store.config)
    with replace_file(_state_path(settings)) as temporary:
        temporary.write_bytes(_STATE.dump_json(wanted))
    return True


def count_missing_customers(store: FeatureStore, customers: Sequence[str], sample: int = 200) -> int:
    """How many of a sample of ``customers``, who were materialised, the online store does not hold in every view.

    Raises:
        Exception: The store cannot be read; the error is the store's own.
    """
    asked = customers[:: -(-len(customers) // sample)] if customers else []
    times = OnlineReader(store, FEATURE_SERVICE).fetch(asked).times_us
    return sum(NO_TIME in of_one for of_one in zip(*times, strict=True))


def check_serveable(settings: Settings, store: FeatureStore) -> None:
    """Check on a sample that the online store returns the snapshot that was materialized into it last.

    A store into which nothing was materialized, or whose snapshot file was deleted, is not checked.

    Args:
        settings: Settings with the data folder.
        store: Feast store of the registry.

    Raises:
        UnserveableStoreError: The online store cannot be read, or lacks customers of the snapshot.
    """
    state = load_online_state(settings)
    if state is None:
        return
    view = next(iter(BUILDERS))
    # The path depends on the definitions of that materialization, which may not be those of this checkout.
    path = snapshot_path(settings, view, state.as_of, state.known_at, state.transformations)
    if not path.exists():
        return
    try:
        missing = count_missing_customers(
            store, read_customers(Snapshot(view, state.as_of, state.known_at, path, built=False))
        )
    except Exception as error:  # each kind of online store raises its own errors
        raise UnserveableStoreError(f"The online store cannot be read: {type(error).__name__}.") from error
    if missing:
        raise UnserveableStoreError(
            f"The online store does not hold {missing} of a sample of the customers that it was filled with."
        )


def delete_online_state(settings: Settings) -> None:
    """Make the next run materialise again."""
    _state_path(settings).unlink(missing_ok=True)


def _moment(state: OnlineState) -> str:
    return f"{state.as_of:%Y-%m-%d %H:%M} UTC as known at {state.known_at:%Y-%m-%d %H:%M} UTC"


def _state_path(settings: Settings) -> Path:
    return settings.feast / "online_state.json"
