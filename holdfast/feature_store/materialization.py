"""Materialization of a snapshot into the online store, and the record of the materialized snapshot."""

import contextlib
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feast import FeatureStore
from pydantic import TypeAdapter

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from feature_repo.source_hash import sha256
from feature_repo.timestamps import NO_TIME
from holdfast.core.atomic_files import replace_file
from holdfast.core.definition_hashes import list_stored_views
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores.installation import claim_installation
from holdfast.feast_stores.open_store import ONLINE_STATE, open_store, version_folder
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.snapshots import Snapshot, read_customers, require_customers, snapshot_path
from holdfast.feature_store.store_outages import explain_outage
from holdfast.online_features.reader import OnlineReader
from holdfast.shared_state.work_locks import BusyError, work_lock


@dataclass(frozen=True)
class OnlineState:
    """Record of the snapshot that the online tables of a version contain (``online_state.json``).

    Attributes:
        store: Digest of the online store's configuration, which identifies the store.
    """

    as_of: datetime
    known_at: datetime
    store: str = ""


_STATE = TypeAdapter(OnlineState)
_SAMPLE = 200  # customers at most


class OnlineStoreNewerError(HoldfastError):
    """The online store contains a later snapshot already."""


class UnserveableStoreError(HoldfastError):
    """The online store does not return the features that were materialized into it."""


def load_online_state(settings: Settings, version: str) -> OnlineState | None:
    """Load the record of the last materialization of a version of the definitions.

    Args:
        settings: Settings with the data folder.
        version: Id of the version.

    Returns:
        Record; None when nothing was materialized or the last materialization did not finish.
    """
    path = _state_path(settings, version)
    return _STATE.validate_json(path.read_bytes()) if path.exists() else None


def features_lock(settings: Settings, seconds: float | None = None) -> AbstractContextManager[None]:
    """Return the lock that guards changes of Feast's registry and the online store.

    Args:
        settings: Settings with the place of the lock.
        seconds: Time to wait for another run; None: until it ends.

    Returns:
        Lock, not acquired.
    """
    return work_lock(settings, "materialization", seconds)


def is_materializing(settings: Settings) -> bool:
    """Check whether another run holds the features lock, and so may be writing to the online store.

    Args:
        settings: Settings with the data folder.

    Returns:
        True while the lock is held; the record of the online store is missing meanwhile.
    """
    try:
        with features_lock(settings, seconds=0):
            return False
    except BusyError:
        return True


@explain_outage()
def materialize(settings: Settings, version: str, snapshot: Snapshot) -> bool:
    """Write the snapshots of ``snapshot.as_of`` to the online store, unless the store contains them already.

    A store that has lost them, such as a restarted server without persistence or a deleted file, is filled again.

    Feast's incremental mode starts at the wall clock minus the TTL when there is no history, which misses every
    snapshot of a replayed past. A snapshot contains all customers, so the range is ``as_of`` alone.

    Args:
        settings: Settings with the data folder.
        version: Id of the version of the definitions.
        snapshot: Snapshot of any view of the version; the snapshots of all its views are written.

    Returns:
        False when the store contained the snapshots already.

    Raises:
        NoDataError: The snapshot has no customer.
        OnlineStoreNewerError: The online store contains a later snapshot.
    """
    claim_installation(settings)
    store = open_store(snapshot.known_at, definitions=version)
    customers = read_customers(snapshot)
    require_customers(customers, snapshot.as_of)
    name = sha256(store.config.online_store.model_dump_json(exclude={"fast_reads"}))  # a switch, not another store
    requested = OnlineState(snapshot.as_of, snapshot.known_at, name)
    current = load_online_state(settings, version)
    if current == requested and _holds(store, customers):
        _mark_filled(store)  # a server may have evicted the mark
        return False
    if current is not None and current.store != name:
        current = None  # the record is of another store
    if current is not None and (current.as_of, current.known_at) > (requested.as_of, requested.known_at):
        raise OnlineStoreNewerError(
            f"The online store serves {_format_times(current)}; materializing {_format_times(requested)} would leave "
            "newer values in the store. To use past data, set HOLDFAST_DATA to another folder."
        )
    delete_online_state(settings, version)
    repair = getattr(store.provider.online_store, "repair", None)
    if repair is not None:
        repair(store.config, store.list_feature_views())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        store.materialize(start_date=requested.as_of, end_date=requested.as_of)
    _mark_filled(store)
    with replace_file(_state_path(settings, version)) as temporary:
        temporary.write_bytes(_STATE.dump_json(requested))
    return True


def _holds(store: FeatureStore, customers: Sequence[str]) -> bool:
    """Check that the online store holds the customers of a sample; a store that cannot be read holds none."""
    try:
        return not _count_missing_customers(store, customers)
    except Exception:  # each kind of online store raises its own errors
        return False


def _mark_filled(store: FeatureStore) -> None:
    mark_filled = getattr(store.provider.online_store, "mark_filled", None)
    if mark_filled is not None:
        mark_filled(store.config)


def _count_missing_customers(store: FeatureStore, customers: Sequence[str]) -> int:
    """Count the customers of a sample that the online store lacks in at least one view."""
    sampled = customers[:: -(-len(customers) // _SAMPLE)] if customers else []
    times = OnlineReader(store, FEATURE_SERVICE).fetch(sampled).times_us
    return sum(NO_TIME in view_times for view_times in zip(*times, strict=True))


def check_serveable(settings: Settings, version: str) -> None:
    """Check on a sample that the online store returns the snapshot that was materialized into it last.

    A store into which nothing was materialized, or whose snapshot file was deleted, is not checked.

    Args:
        settings: Settings with the data folder.
        version: Id of the version of the definitions.

    Raises:
        MissingVersionError: The version is not registered.
        UnserveableStoreError: The online store cannot be read, or lacks customers of the snapshot.
    """
    store = open_version(settings, version)
    state = load_online_state(settings, version)
    if state is None:
        return
    view = list_stored_views(store)[0]
    path = snapshot_path(view, state.as_of, state.known_at)
    if not path.exists():
        return
    try:
        missing = _count_missing_customers(
            store, read_customers(Snapshot(view.name, state.as_of, state.known_at, path, built=False))
        )
    except Exception as error:  # each kind of online store raises its own errors
        raise UnserveableStoreError(f"The online store cannot be read: {type(error).__name__}.") from error
    if missing:
        raise UnserveableStoreError(
            f"The online store does not hold {missing} of a sample of the customers that it was filled with."
        )


def delete_online_state(settings: Settings, version: str) -> None:
    """Delete the record of the online values of a version, so that the next run materializes them again.

    Args:
        settings: Settings with the data folder.
        version: Id of the version.
    """
    _state_path(settings, version).unlink(missing_ok=True)


def _format_times(state: OnlineState) -> str:
    return f"{state.as_of:%Y-%m-%d %H:%M} UTC as known at {state.known_at:%Y-%m-%d %H:%M} UTC"


def _state_path(settings: Settings, version: str) -> Path:
    return settings.data / version_folder(version) / ONLINE_STATE
