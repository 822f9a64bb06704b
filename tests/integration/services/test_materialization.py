"""Serving during a materialization: never before the first one, never from two snapshots."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pytest
from starlette.testclient import TestClient

from feature_repo.settings import Settings
from holdfast.feast_stores.raw_values import ViewRows
from tests.support.definition_versions import open_only, registry_file
from tests.support.edge_case_customers import add_edge_case_customers
from tests.support.service_fixtures import assert_error, serve_in_process
from tests.support.service_state import APPLIED_ONLY, AS_OF

NEXT = AS_OF + timedelta(days=1)
VIEWS = ["customer_purchase_history", "customer_recent_activity", "customer_purchase_rhythm"]


@pytest.fixture(autouse=True)
def _look_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.features.version_registry.RETRY_SECONDS", 0.0)


@pytest.fixture
def replay(service_data_copy: Path) -> Iterator[TestClient]:
    """A service in replay on features as of ``AS_OF``; snapshots of ``NEXT`` exist, with a new customer."""
    for file in list((service_data_copy / "snapshots").rglob("*.parquet")):
        rows = pd.read_parquet(file)
        rows = pd.concat([rows, rows[rows.customer_id == "c001"].assign(customer_id="new")])
        later = file.parent.parent / "20240302" / file.name
        later.parent.mkdir()
        rows.assign(as_of=pd.Timestamp(NEXT).as_unit("us")).to_parquet(later)
    with serve_in_process(service_data_copy, HOLDFAST_CLOCK="data") as client:
        yield client


def _materialize(time: Any, *views: str) -> None:
    open_only(Settings.from_environment().data).materialize(time, time, feature_views=list(views))


def _predict(client: TestClient, customer_id: str = "c001", **request: str) -> Any:
    return client.post("/predict", json={"customer_id": customer_id} | request)


def _assert_updating(client: TestClient, customer_id: str, **request: str) -> None:
    response = _predict(client, customer_id, **request)
    assert_error(response, 503, "are being updated; try again")
    assert response.headers["retry-after"] == "1"
    batch = client.post("/predict_batch", json={"customer_ids": [customer_id]} | request)
    assert batch.status_code == 200, batch.text
    assert batch.json()["predictions"][0]["status"] == "features_updating"


def test_partial_materialization_is_never_served(replay: TestClient) -> None:
    before = _predict(replay)
    assert before.status_code == 200, before.text
    assert _predict(replay, "new").status_code == 404
    for view in VIEWS[:2]:
        _materialize(NEXT, view)
        for customer in ["c001", "new"]:
            _assert_updating(replay, customer)
            _assert_updating(replay, customer, as_of=NEXT.isoformat())
        assert replay.get("/readyz").status_code == 200
    _materialize(NEXT, VIEWS[2])
    for customer in ["c001", "new"]:
        after = _predict(replay, customer).json()
        assert (after["feature_timestamp"], after["feature_age_seconds"]) == ("2024-03-02T00:00:00Z", 0)


def test_interrupted_materialization_rejects_updated_customers(
    replay: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.feast_stores.sqlite_online_store import DataFolderSqliteOnlineStore

    write = DataFolderSqliteOnlineStore.write_columns

    def killed(self: Any, config: Any, rows: ViewRows) -> None:
        written = rows.table.filter(pc.equal(rows.table["customer_id"], "c001"))
        write(self, config, replace(rows, table=written))
        assert _predict(replay, "c002").status_code == 200
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DataFolderSqliteOnlineStore, "write_columns", killed)
        with pytest.raises(KeyboardInterrupt):
            _materialize(NEXT, *VIEWS)
    _assert_updating(replay, "c001")
    assert _predict(replay, "c002").json()["feature_timestamp"] == "2024-03-01T00:00:00Z"
    assert replay.get("/readyz").status_code == 200
    _materialize(NEXT, *VIEWS)
    assert _predict(replay, "c001").json()["feature_timestamp"] == "2024-03-02T00:00:00Z"


def test_features_newer_than_registry_are_updating(service_data_copy: Path) -> None:
    registry = registry_file(service_data_copy)
    before = registry.read_bytes()
    with serve_in_process(service_data_copy, HOLDFAST_CLOCK="data") as client:
        store = open_only(service_data_copy)
        for view in VIEWS:
            rows = pd.concat(
                [pd.read_parquet(file) for file in (service_data_copy / "snapshots" / view).rglob("*.parquet")]
            )
            store.write_to_online_store(view, rows[rows.customer_id == "c001"].assign(as_of=NEXT))
        assert registry.read_bytes() == before
        _assert_updating(client, "c001")
        assert _predict(client, as_of=NEXT.isoformat()).status_code == 200
        assert_error(_predict(client, as_of="2024-02-29"), 422, "earlier than the stored features")


def test_replay_uses_one_as_of_for_all_customers(service_data: Path, tmp_path: Path) -> None:
    folder = add_edge_case_customers(service_data, tmp_path / "data")
    with serve_in_process(folder, HOLDFAST_CLOCK="data") as client:
        at_its_time = _predict(client, as_of=AS_OF.isoformat()).json()
        assert _predict(client).json() == at_its_time
        assert at_its_time["feature_age_seconds"] == 0
        old = _predict(client, "3-days-old").json()
        assert (old["feature_age_seconds"], old["stale"]) == (3 * 86_400, True)
        assert_error(_predict(client, "31-days-old"), 503, "31.00 days old", "30.00 days")
        ids = ["no-such-id", "c001", "3-days-old", "31-days-old"]
        batch = client.post("/predict_batch", json={"customer_ids": ids}).json()
        assert batch["as_of"] == "2024-03-01T00:00:00Z"
        assert [item["status"] for item in batch["predictions"]] == [
            "unknown_customer",
            "ok",
            "ok",
            "features_too_old",
        ]
        unknown = client.post("/predict_batch", json={"customer_ids": ["no-such-id"]}).json()
        assert unknown["as_of"] == "2024-03-01T00:00:00Z"


def test_request_reads_store_once(service_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.online_features.reader import OnlineReader

    with serve_in_process(service_data, HOLDFAST_CLOCK="data") as client:
        assert _predict(client).status_code == 200
        reads = []
        start = OnlineReader.start
        monkeypatch.setattr(OnlineReader, "start", lambda self, ids: (reads.append(list(ids)), start(self, ids))[1])
        assert _predict(client).status_code == 200
    assert reads == [["c001"]]


def test_service_before_first_materialization_is_not_ready(
    service_data_copy: Path, service_log: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(service_data_copy / "feast")
    (service_data_copy / APPLIED_ONLY).rename(service_data_copy / "feast")
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "No feature view is materialized yet.")
        _materialize(AS_OF, VIEWS[0])
        _assert_not_ready(client, f"{VIEWS[2]}, {VIEWS[1]}: not materialized yet.")
        _materialize(AS_OF + timedelta(hours=1), *VIEWS[1:])
        _assert_not_ready(client, "never materialized to the same time")
        _materialize(AS_OF, *VIEWS)
        assert client.get("/readyz").status_code == 200
        assert _predict(client).status_code == 200
        assert_error(_predict(client, "no-such-id"), 404)
    assert service_log.text.count("No feature view is materialized yet. Build the features") == 1


def _assert_not_ready(client: TestClient, reason: str) -> None:
    assert_error(client.get("/readyz"), 503, reason)
    for customer in ["c001", "no-such-id"]:
        assert_error(_predict(client, customer), 503, reason)
