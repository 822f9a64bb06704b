"""Tests of the SQLite online store: one transaction per read, locks, rows of removed fields."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.timestamps import epoch_us
from holdfast.feast_stores import sqlite_online_store
from holdfast.feast_stores.open_store import open_store
from holdfast.online_features.reader import OnlineReader
from tests.support.definition_versions import version_files
from tests.support.online_stores import CUSTOMERS, HISTORY, OnlineShop, online_shop
from tests.support.small_shop import AS_OF, register_definitions

NOW = epoch_us(AS_OF)
LIMIT = 0.4
NOISE = 1.0  # delay of a busy machine, seconds


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineShop]:
    with online_shop("sqlite", tmp_path_factory.mktemp("sqlite")) as shop:
        yield shop


@pytest.fixture
def reader(shop: OnlineShop) -> OnlineReader:
    return OnlineReader(shop.store, FEATURE_SERVICE)


def file_of(shop: OnlineShop) -> Path:
    return version_files(shop.settings.data) / "online_store.db"


def test_reader_missing_file_raises_and_creates_nothing(shop: OnlineShop, reader: OnlineReader) -> None:
    hidden = file_of(shop).rename(file_of(shop).with_suffix(".hidden"))
    try:
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="unable to open"):
                reader.read(["c001"], NOW)
        assert not file_of(shop).exists()
    finally:
        hidden.rename(file_of(shop))
    assert not reader.read(["c001"], NOW).faults.any()


def test_reader_after_error_reopens_the_file(
    shop: OnlineShop, reader: OnlineReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not reader.read(["c001"], NOW).faults.any()

    def fails(*_: Any) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_online_store, "_read_rows", fails)
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            reader.read(["c001"], NOW)
    assert not reader.read(["c001"], NOW).faults.any()


def test_reader_reads_all_views_in_one_transaction(
    shop: OnlineShop, reader: OnlineReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, refused = sqlite_online_store._read_rows, []

    def rows_while_another_writes(*arguments: Any) -> Any:
        found = rows(*arguments)
        with contextlib.closing(sqlite3.connect(file_of(shop), timeout=0)) as writer:
            writer.execute(f"UPDATE {shop.store.project}_{HISTORY} SET event_ts = event_ts + 1")
            try:
                writer.commit()
            except sqlite3.OperationalError as error:
                refused.append(str(error))
                writer.rollback()
        return found

    monkeypatch.setattr(sqlite_online_store, "_read_rows", rows_while_another_writes)
    assert (reader.read(["c001"], NOW).timestamps_us == NOW).all()
    assert refused == ["database is locked"] * 3


def test_reader_rows_of_removed_field_do_not_change_event_time(shop: OnlineShop, reader: OnlineReader) -> None:
    old = AS_OF - timedelta(days=400)
    with contextlib.closing(sqlite3.connect(file_of(shop))) as database, database:
        database.execute(
            f"INSERT INTO {shop.store.project}_{HISTORY} (entity_key, feature_name, value, event_ts) "
            f"SELECT entity_key, 'purchases_once', value, ? FROM {shop.store.project}_{HISTORY} "
            "WHERE feature_name = 'purchase_days'",
            (int(old.timestamp()),),
        )
    assert (reader.read(CUSTOMERS, NOW).timestamps_us == NOW).all()


def test_reader_event_time_is_that_of_the_oldest_value(shop: OnlineShop, reader: OnlineReader) -> None:
    shop.write(HISTORY, "mixed")
    with contextlib.closing(sqlite3.connect(file_of(shop))) as database, database:
        database.execute(
            f"UPDATE {shop.store.project}_{HISTORY} SET event_ts = event_ts - 60 "
            "WHERE instr(entity_key, CAST('mixed' AS BLOB)) AND feature_name = 'total_amount'"
        )
    times = dict(zip(reader.views, reader.read(["mixed"], NOW).timestamps_us[0].tolist(), strict=True))
    assert times[HISTORY] == NOW - 60_000_000


def test_reader_several_statements_return_the_same_values(
    shop: OnlineShop, reader: OnlineReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [*CUSTOMERS, "no-such-id", *CUSTOMERS[:5]]
    at_once = reader.read(ids, NOW)
    monkeypatch.setattr(sqlite_online_store, "_BATCH", 7)
    in_parts = reader.read(ids, NOW)
    assert np.array_equal(in_parts.inputs, at_once.inputs, equal_nan=True)
    assert np.array_equal(in_parts.timestamps_us, at_once.timestamps_us)


def test_reader_running_materialization_does_not_block(shop: OnlineShop, reader: OnlineReader) -> None:
    with contextlib.closing(sqlite3.connect(file_of(shop), isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(f"DELETE FROM {shop.store.project}_{HISTORY}")
        assert not reader.read(CUSTOMERS, NOW).faults.any()
        writer.execute("ROLLBACK")


class TestLocked:
    @pytest.fixture
    def limited(self, shop: OnlineShop) -> OnlineReader:
        """Reader with the time limit ``LIMIT``."""
        return OnlineReader(open_store(online_timeout=LIMIT, definitions=register_definitions()), FEATURE_SERVICE)

    @pytest.fixture
    def writer(self, shop: OnlineShop) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(
            sqlite3.connect(file_of(shop), isolation_level=None, check_same_thread=False)
        ) as connection:
            yield connection

    @staticmethod
    def outcome(reader: OnlineReader) -> tuple[str, float]:
        began = time.monotonic()
        try:
            assert not reader.read(["c001"], NOW).faults.any()
            return "read", time.monotonic() - began
        except (sqlite3.OperationalError, TimeoutError) as error:
            return type(error).__name__, time.monotonic() - began

    def test_reader_locked_file_times_out_and_recovers(self, limited: OnlineReader, writer: sqlite3.Connection) -> None:
        for opened_before in (False, True):
            writer.execute("BEGIN EXCLUSIVE")
            error, took = self.outcome(limited)
            assert error == "OperationalError"
            assert LIMIT / 2 < took < LIMIT + NOISE, opened_before
            writer.execute("ROLLBACK")
            assert self.outcome(limited)[0] == "read"

    def test_reader_waiting_for_other_reads_times_out(self, limited: OnlineReader, writer: sqlite3.Connection) -> None:
        writer.execute("BEGIN EXCLUSIVE")
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(self.outcome, [limited] * 6))
        writer.execute("ROLLBACK")
        assert {error for error, _ in found} <= {"OperationalError", "TimeoutError"}
        assert max(took for _, took in found) < LIMIT + NOISE  # one after the other they would take six times that
        assert self.outcome(limited)[0] == "read"

    def test_reader_after_waiting_for_other_read_has_the_remaining_time(
        self, limited: OnlineReader, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows, waits = sqlite_online_store._read_rows, []

        def slow(connection: sqlite3.Connection, *arguments: Any) -> Any:
            waits.append(connection.execute("PRAGMA busy_timeout").fetchone()[0])
            if len(waits) == 1:
                time.sleep(LIMIT / 2)
            return rows(connection, *arguments)

        monkeypatch.setattr(sqlite_online_store, "_read_rows", slow)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(self.outcome, limited)
            time.sleep(LIMIT / 8)
            second = pool.submit(self.outcome, limited)
            assert (first.result()[0], second.result()[0]) == ("read", "read")
        views = len(limited.views)
        assert waits[:views] == [LIMIT * 1000] * views
        assert all(wait < LIMIT * 700 for wait in waits[views:])
        assert self.outcome(limited)[0] == "read"
        assert waits[-1] == LIMIT * 1000

    def test_reader_without_limit_waits_for_the_file(self, reader: OnlineReader, writer: sqlite3.Connection) -> None:
        writer.execute("BEGIN EXCLUSIVE")
        threading.Timer(2 * LIMIT, writer.execute, ["ROLLBACK"]).start()
        what, took = self.outcome(reader)
        assert what == "read"
        assert took > LIMIT
