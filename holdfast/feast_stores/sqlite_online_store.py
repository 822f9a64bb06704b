"""Feast's SQLite online store with reads of several views in one transaction; named in ``feature_store.yaml``."""

import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from pydantic import PrivateAttr, field_validator

from feature_repo.settings import Settings
from feature_repo.timestamps import NO_TIME
from holdfast.feast_stores._feast_imports import RepoConfig
from holdfast.feast_stores.raw_values import RawColumns, RawReader, ViewRequest, ViewRows, entity_keys
from holdfast.feast_stores.sqlite_connection import UtcConnection
from holdfast.feast_stores.sqlite_writer import write_view

if TYPE_CHECKING:
    from feast import FeatureView

_BATCH = 10_000  # SQLite binds at most 32,766 values in one statement
_BUSY_SECONDS = 5.0  # default limit of a wait for a lock of the file

# A customer's row of one view: event time in seconds, then the value of each field; all None for an unknown customer.
_Row = tuple[Any, ...]


class DataFolderSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Options of Feast's SQLite store; ``path`` is relative to the data folder."""

    type: str = "sqlite"  # type: ignore[assignment]
    _read_limit: float | None = PrivateAttr(None)

    @field_validator("type")
    @classmethod
    def _remain_sqlite(cls, value: str) -> str:
        # `feast plan` supports only a store whose type is "sqlite"; for others it reports "No changes".
        return "sqlite"

    def limit_read_time(self, seconds: float) -> None:
        """Limit the time that a read waits for other readers and for a writer.

        Args:
            seconds: The limit; without a call a read waits for other readers without limit.
        """
        self._read_limit = seconds

    @property
    def read_limit(self) -> float | None:
        """Return the limit of a read, seconds, or None."""
        return self._read_limit


class DataFolderSqliteOnlineStore(SqliteOnlineStore):
    """Feast's SQLite online store, in the data folder.

    The path of the file has one spelling in all processes: with two spellings, Feast's plan drops the tables of one.
    """

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        path = Settings.from_environment().data / config.online_store.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        if self._conn is None:
            self._conn = sqlite3.connect(self._get_db_path(config), check_same_thread=False, factory=UtcConnection)
        return self._conn

    def repair(self, config: RepoConfig, views: "Sequence[FeatureView]") -> None:
        """Create missing tables; a file that is no database is replaced by an empty one.

        Args:
            config: Configuration of the feature store.
            views: Stored views.

        Raises:
            sqlite3.OperationalError: Another process locks the file.
        """
        path = Path(self._get_db_path(config))
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            path.unlink()
        self.update(config, [], views, [], [], partial=True)

    def writes_columns(self, config: RepoConfig) -> bool:
        """Check whether :meth:`write_columns` writes all columns of the tables.

        Args:
            config: Configuration of the feature store.

        Returns:
            False with vectors or numbers beside the values, which only Feast writes.
        """
        return not (config.online_store.vector_enabled or config.online_store.enable_openai_compatible_store)

    def write_columns(self, config: RepoConfig, rows: ViewRows) -> None:
        """Insert or update the values of a view, in one transaction.

        Args:
            config: Configuration of the feature store.
            rows: Rows of the view.
        """
        versioned = config.registry.enable_online_feature_view_versioning
        write_view(self._get_conn(config), compute_table_id(config.project, rows.view, versioned), rows)

    def reader(self, config: RepoConfig, requests: Sequence[ViewRequest]) -> RawReader:
        """Create a reader that returns all views as of the same time.

        The reader opens the file for reading only: a missing file is an error, and so is a file that another process
        locks for longer than the limit of the configuration.

        Args:
            config: Configuration of the feature store.
            requests: Views and fields to read.

        Returns:
            The reader.
        """
        versioned = config.registry.enable_online_feature_view_versioning
        tables = [(compute_table_id(config.project, request.view, versioned), request.fields) for request in requests]
        uri = f"{Path(self._get_db_path(config)).as_uri()}?mode=ro"
        limit: float | None = config.online_store.read_limit
        busy = _BUSY_SECONDS if limit is None else limit
        lock = threading.Lock()
        opened: list[sqlite3.Connection] = []

        def read(customer_ids: Sequence[str]) -> RawColumns:
            keys = entity_keys(customer_ids)
            remaining = _acquire(lock, limit)
            try:
                if not opened:
                    opened.append(sqlite3.connect(uri, busy, uri=True, check_same_thread=False, isolation_level=None))
                if remaining is not None:
                    _set_busy_timeout(opened[0], remaining)
                rows = _read_tables(opened[0], tables, keys)
                if remaining is not None:
                    _set_busy_timeout(opened[0], busy)
            except BaseException:
                if opened:
                    opened.pop().close()  # the next read opens the file again, which may have been replaced
                raise
            finally:
                lock.release()
            return _to_columns(rows, [len(fields) for _, fields in tables], keys)

        return RawReader.of_function(read)


def _acquire(lock: threading.Lock, limit: float | None) -> float | None:
    """Acquire a lock within ``limit`` seconds; return the remaining seconds, or None if it was free."""
    if lock.acquire(blocking=False):
        return None
    started = time.monotonic()
    if not lock.acquire(timeout=-1 if limit is None else limit):
        raise TimeoutError(f"Waited {limit} s for other reads of the online store, the limit of a read.")
    return None if limit is None else max(0.0, started + limit - time.monotonic())


def _set_busy_timeout(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def _read_tables(
    connection: sqlite3.Connection, tables: Sequence[tuple[str, Sequence[str]]], keys: Sequence[bytes]
) -> list[dict[bytes, _Row]]:
    """Read the rows of ``keys`` from each table, in one transaction: no write comes between two tables."""
    connection.execute("BEGIN")
    try:
        return [_read_rows(connection, table, fields, keys) for table, fields in tables]
    finally:
        connection.execute("ROLLBACK")


def _read_rows(
    connection: sqlite3.Connection, table: str, fields: Sequence[str], keys: Sequence[bytes]
) -> dict[bytes, _Row]:
    # Rows of removed fields remain in the table, with old times.
    time = f"min(CASE WHEN feature_name IN ({_placeholders(fields)}) THEN event_ts END)"
    values = ", ".join(["max(CASE feature_name WHEN ? THEN value END)"] * len(fields))
    rows: dict[bytes, _Row] = {}
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        statement = (
            f'SELECT entity_key, {time}, {values} FROM "{table}" WHERE entity_key IN ({_placeholders(batch)}) '
            "GROUP BY entity_key"
        )
        rows |= {key: row for key, *row in connection.execute(statement, [*fields, *fields, *batch])}
    return rows


def _to_columns(tables: Sequence[dict[bytes, _Row]], widths: Sequence[int], keys: Sequence[bytes]) -> RawColumns:
    values: list[Sequence[bytes | None]] = []
    times: list[Sequence[int]] = []
    for rows, width in zip(tables, widths, strict=True):
        empty = (None,) * (width + 1)
        seconds, *columns = zip(*(rows.get(key, empty) for key in keys), strict=True) if keys else [()] * (width + 1)
        times.append([NO_TIME if time is None else time * 1_000_000 for time in seconds])
        values += columns
    return RawColumns(values, times)


def _placeholders(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
