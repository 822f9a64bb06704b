"""Materialization: idempotent, forward in time only, and complete after an interruption."""

import os
import signal
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.feast_stores.raw_values import ViewRows
from holdfast.feast_stores.settings import FEATURE_REPO
from holdfast.feature_store.materialization import (
    OnlineStoreNewerError,
    _count_missing_customers,
    delete_online_state,
    load_online_state,
    materialize,
)
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import Snapshot, build_snapshots, read_customers
from tests.support.definition_versions import version_files
from tests.support.feature_oracle import Transaction
from tests.support.small_shop import (
    AS_OF,
    KNOWN_AT,
    build_features,
    ingest,
    join_process,
    register_definitions,
    registered_store,
    start_process,
)

MONTH_AGO = datetime(2024, 6, 1, tzinfo=UTC)


def _mismatches(snapshot: Snapshot) -> int:
    return check_parity(
        registered_store(), registered_store(snapshot.known_at), read_customers(snapshot), snapshot.as_of
    ).mismatches


def _event_times(settings: Settings) -> set[str]:
    """Read the distinct event times in the online store."""
    connection = sqlite3.connect(version_files(settings.data) / "online_store.db")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {row[0] for name in tables for row in connection.execute(f"SELECT DISTINCT event_ts FROM {name}")}
    connection.close()
    return found


def _refuse(*arguments: Any, **options: Any) -> None:
    raise AssertionError("materialized again")


def test_materialize_of_the_stored_snapshot_writes_nothing(
    open_shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = build_snapshots(open_shop, registered_store(), AS_OF, KNOWN_AT)[0]
    version = register_definitions()
    monkeypatch.setattr("feast.FeatureStore.materialize", _refuse)
    assert materialize(open_shop, version, snapshot) is False
    delete_online_state(open_shop, version)
    with pytest.raises(AssertionError, match="materialized again"):
        materialize(open_shop, version, snapshot)


def test_materialize_of_an_earlier_snapshot_raises(shop: Settings) -> None:
    earlier = build_features(shop, MONTH_AGO)
    assert _mismatches(earlier) == 0
    later = build_features(shop, AS_OF)
    assert _mismatches(later) == 0
    state = load_online_state(shop, register_definitions())
    assert state is not None
    assert (state.as_of, state.known_at) == (AS_OF, KNOWN_AT)
    with pytest.raises(OnlineStoreNewerError) as error:
        materialize(shop, register_definitions(), earlier)
    for part in ("serves 2024-07-01 00:00 UTC", "2024-06-01 00:00 UTC", "HOLDFAST_DATA"):
        assert part in str(error.value)
    assert load_online_state(shop, register_definitions()) == state
    assert _mismatches(later) == 0


def test_materialize_with_late_data_updates_the_same_as_of(open_shop: Settings) -> None:
    arrival = KNOWN_AT + timedelta(hours=5)
    late = Transaction("c000", AS_OF - timedelta(days=2), 77.0, arrival)
    ingest(open_shop.data, [late, late._replace(customer_id="newcomer")], arrival)
    snapshot = build_snapshots(open_shop, registered_store(), AS_OF, arrival)[0]
    assert snapshot.known_at == arrival
    assert materialize(open_shop, register_definitions(), snapshot) is True
    assert "newcomer" in read_customers(snapshot)
    assert _mismatches(snapshot) == 0
    before = build_snapshots(open_shop, registered_store(), AS_OF, KNOWN_AT)[0]
    assert _mismatches(before) > 0, "parity does not see which data the online store was made from"


def test_materialize_into_another_store_ignores_the_record_of_the_first(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_features(shop, AS_OF)
    earlier = build_snapshots(shop, registered_store(), MONTH_AGO, KNOWN_AT)[0]
    version, written = register_definitions(), []
    yaml = shop.data / "feature_store.yaml"
    yaml.write_text((FEATURE_REPO / "feature_store.yaml").read_text().replace("online_store.db", "other.db"))
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(yaml))
    monkeypatch.setattr("feast.FeatureStore.materialize", lambda _, **range: written.append(range["end_date"]))
    monkeypatch.setattr("holdfast.feature_store.materialization._count_missing_customers", lambda *_: 0)
    assert materialize(shop, version, earlier) is True
    assert written == [MONTH_AGO]
    assert materialize(shop, version, earlier) is False


def test_materialize_into_a_store_that_lost_its_values_fills_it_again(open_shop: Settings) -> None:
    snapshot = build_snapshots(open_shop, registered_store(), AS_OF, KNOWN_AT)[0]
    with sqlite3.connect(version_files(open_shop.data) / "online_store.db") as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            database.execute(f"DELETE FROM {table}")
    assert _count_missing_customers(registered_store(), read_customers(snapshot)) == 150
    assert materialize(open_shop, register_definitions(), snapshot) is True
    assert _count_missing_customers(registered_store(), read_customers(snapshot)) == 0
    assert _mismatches(snapshot) == 0


def _killed_after(writes: int) -> None:
    """Materialize, and kill the process after some views, in the middle of the next view."""
    from holdfast.feast_stores.sqlite_online_store import DataFolderSqliteOnlineStore

    original, calls = DataFolderSqliteOnlineStore.write_columns, 0

    def fatal(self: Any, config: Any, rows: ViewRows) -> None:
        nonlocal calls
        calls += 1
        if calls > writes:
            original(self, config, replace(rows, table=rows.table.slice(0, rows.table.num_rows // 2)))
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, config, rows)

    DataFolderSqliteOnlineStore.write_columns = fatal  # type: ignore[method-assign]
    build_features(Settings.from_environment())


@pytest.mark.parametrize("writes", [0, 2])
def test_materialize_after_killed_run_completes_the_store(shop: Settings, writes: int) -> None:
    build_features(shop, MONTH_AGO, KNOWN_AT)
    assert join_process(start_process(_killed_after, shop.data, writes)) == -signal.SIGKILL
    assert load_online_state(shop, register_definitions()) is None
    times = _event_times(shop)
    assert len(times) == 2, "nothing was half written: this test shows nothing"
    snapshot = build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)[0]
    assert materialize(shop, register_definitions(), snapshot) is True
    assert len(_event_times(shop)) == 1
    assert _mismatches(snapshot) == 0


def test_historical_features_are_readable_during_materialization(shop: Settings) -> None:
    """A killed materialization leaves the registry in the state of a running one, in which reads must succeed."""
    snapshot = build_features(shop, MONTH_AGO, KNOWN_AT)
    assert join_process(start_process(_killed_after, shop.data, 1)) == -signal.SIGKILL
    store = registered_store(KNOWN_AT)
    entities = pd.DataFrame({"customer_id": read_customers(snapshot)[:3], "event_timestamp": MONTH_AGO, "as_of_us": 0})
    service = store.get_feature_service(FEATURE_SERVICE)
    table = store.get_historical_features(features=service, entity_df=entities).to_arrow()
    assert table["total_amount"].null_count == 0


def test_materialize_after_killed_first_run_completes_the_store(shop: Settings) -> None:
    assert join_process(start_process(_killed_after, shop.data, 1)) == -signal.SIGKILL
    snapshot = build_features(shop)
    assert _mismatches(snapshot) == 0
