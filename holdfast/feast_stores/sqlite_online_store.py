"""Feast's SQLite online store, with what Holdfast adds to it; named in ``feature_store.yaml``."""

import sqlite3
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _table_id
from pydantic import PrivateAttr, field_validator

from feature_repo.settings import load_settings
from feature_repo.timestamps import NO_TIME
from holdfast.feast_stores._feast_imports import RepoConfig
from holdfast.feast_stores.raw_values import RawColumns, RawReader, ViewRequest, entity_keys


def _epoch_seconds(time: datetime) -> int:
    return int(time.replace(tzinfo=time.tzinfo or UTC).timestamp())


def _naive_utc(seconds: bytes) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)


# Feast hands SQLite naive UTC times and converts them as local ones: a store written in one time zone and read
# in another would be hours older or younger than it is.
sqlite3.register_adapter(datetime, _epoch_seconds)
sqlite3.register_converter("timestamp", _naive_utc)


class DataFolderSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """SQLite's own options; ``path`` is relative to the state folder."""

    type: str = "sqlite"  # type: ignore[assignment]
    _limit: float | None = PrivateAttr(None)

    @field_validator("type")
    @classmethod
    def _stays_sqlite(cls, value: str) -> str:
        # Feast plans (and says "No changes") only for a store whose type is "sqlite".
        return "sqlite"

    def limit_read_time(self, seconds: float) -> None:
        """Limit how long a read waits for other readers and for who writes; without this, no number of seconds does."""
        self._limit = seconds

    @property
    def limit(self) -> float | None:
        """Seconds that a read may wait."""
        return self._limit


class DataFolderSqliteOnlineStore(SqliteOnlineStore):
    """Feast's SQLite online store, in the state folder.

    Its path has one spelling, whoever asks: given two for one file, Feast's plan drops the tables of the first.
    """

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        path = load_settings().data / config.online_store.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def reader(self, config: RepoConfig, wanted: Sequence[ViewRequest]) -> RawReader:
        """A function that reads ``wanted`` of n customers, all views as they are at one moment.

        Threads may share it. It opens the file for reading only: one that is not there is an error, and so is one
        that another keeps locked for longer than the configuration lets a read wait.
        """
        versioned = config.registry.enable_online_feature_view_versioning
        tables = [(_table_id(config.project, item.view, versioned), item.fields) for item in wanted]
        uri = f"{Path(self._get_db_path(config)).as_uri()}?mode=ro"
        limit: float | None = config.online_store.limit
        busy = _BUSY_SECONDS if limit is None else limit
        lock = threading.Lock()
        opened: list[sqlite3.Connection] = []

        def read(customer_ids: Sequence[str]) -> RawColumns:
            keys = entity_keys(customer_ids)
            left = _take(lock, limit)
            try:
                if not opened:
                    opened.append(sqlite3.connect(uri, busy, uri=True, check_same_thread=False, isolation_level=None))
                if left is not None:
                    _wait_at_most(opened[0], left)
                found = _at_one_moment(opened[0], tables, keys)
                if left is not None:
                    _wait_at_most(opened[0], busy)
            except BaseException:
                if opened:
                    opened.pop().close()  # the next read opens the file anew: it may be another by then
                raise
            finally:
                lock.release()
            return _columns(found, [len(fields) for _, fields in tables], keys)

        return read


# How long SQLite waits for a lock where nobody says otherwise.
_BUSY_SECONDS = 5.0


def _take(lock: threading.Lock, limit: float | None) -> float | None:
    """Acquire it within ``limit`` seconds; what is left of them, or None if nobody had to be waited for.

    Raises:
        TimeoutError: Others held it all that time.
    """
    if lock.acquire(blocking=False):
        return None
    began = time.monotonic()
    if not lock.acquire(timeout=-1 if limit is None else limit):
        raise TimeoutError(f"Other reads of the online store took all of the {limit} s that this one may wait.")
    return None if limit is None else max(0.0, began + limit - time.monotonic())


def _wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


# SQLite binds at most 32,766 values in one statement.
_BATCH = 10_000

# Of one customer in one view: the event time in seconds, then the value of each field; all None if not there.
_Row = tuple[Any, ...]


def _at_one_moment(
    connection: sqlite3.Connection, tables: Sequence[tuple[str, Sequence[str]]], keys: Sequence[bytes]
) -> list[dict[bytes, _Row]]:
    """What each table holds of ``keys``; one transaction, so that no write comes between two tables."""
    connection.execute("BEGIN")
    try:
        return [_rows(connection, table, fields, keys) for table, fields in tables]
    finally:
        connection.execute("ROLLBACK")


def _rows(
    connection: sqlite3.Connection, table: str, fields: Sequence[str], keys: Sequence[bytes]
) -> dict[bytes, _Row]:
    # Rows of fields that the view had once are still there, with times of then.
    time = f"min(CASE WHEN feature_name IN ({_marks(fields)}) THEN event_ts END)"
    values = ", ".join(["max(CASE feature_name WHEN ? THEN value END)"] * len(fields))
    found: dict[bytes, _Row] = {}
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        statement = (
            f'SELECT entity_key, {time}, {values} FROM "{table}" WHERE entity_key IN ({_marks(batch)}) '
            "GROUP BY entity_key"
        )
        found |= {key: row for key, *row in connection.execute(statement, [*fields, *fields, *batch])}
    return found


def _columns(found: Sequence[dict[bytes, _Row]], widths: Sequence[int], keys: Sequence[bytes]) -> RawColumns:
    values: list[Sequence[bytes | None]] = []
    times: list[Sequence[int]] = []
    for rows, width in zip(found, widths, strict=True):
        nothing = (None,) * (width + 1)
        seconds, *columns = zip(*(rows.get(key, nothing) for key in keys), strict=True) if keys else [()] * (width + 1)
        times.append([NO_TIME if time is None else time * 1_000_000 for time in seconds])
        values += columns
    return RawColumns(values, times)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
