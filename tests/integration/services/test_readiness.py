"""Readiness: the service scores only on the definitions that its model was trained on, and names differences."""

import hashlib
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_repo.names import FEATURE_SERVICE
from holdfast.models.contract import ServedModel
from tests.support.definition_changes import change_function, change_limit, drop_feature
from tests.support.definition_versions import online_file, only_version, open_only, registry_file
from tests.support.service_fixtures import assert_error, serve_in_process, service_environment

REQUEST = {"customer_id": "c001"}


@pytest.fixture(autouse=True)
def _look_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.features.version_registry.RETRY_SECONDS", 0.0)
    monkeypatch.setattr("services.features.circuit_breaker.OPEN_SECONDS", 0.0)


def _assert_not_ready(client: TestClient, *fragments: str) -> None:
    assert client.get("/livez").status_code == 200
    assert_error(client.get("/readyz"), 503, *fragments)
    assert_error(client.post("/predict", json=REQUEST), 503, *fragments)
    assert_error(client.post("/predict_batch", json={"customer_ids": ["c001"]}), 503, *fragments)


def _assert_ready(client: TestClient) -> None:
    assert client.get("/readyz").status_code == 200
    assert client.post("/predict", json=REQUEST).status_code == 200


def _model_folder(data: Path) -> Path:
    return next((data / "bentoml/models/holdfast-churn").glob("v1-*"))


def _rewrite_contract(data: Path, change: Callable[[ServedModel], dict[str, object]]) -> None:
    file = _model_folder(data) / "contract.json"
    contract = ServedModel.model_validate_json(file.read_text())
    file.write_text(contract.model_copy(update=change(contract)).model_dump_json())


def test_readyz_with_matching_definitions_is_ready(client: TestClient) -> None:
    _assert_ready(client)


def _change_a_type(store: Any) -> None:
    from feast.types import Float64

    service = store.get_feature_service(FEATURE_SERVICE)
    service.feature_view_projections[0].features[0].dtype = Float64
    store.registry.apply_feature_service(service, store.project)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (drop_feature, ["feature_service", "inputs"]),
        (_change_a_type, ["feature_service"]),
        (change_limit, ["feature_service"]),
        (change_function, ["on_demand"]),
    ],
)
def test_readyz_after_registry_change_names_the_part(
    service_data_copy: Path, change: Callable[[Any], None], parts: list[str]
) -> None:
    registry = registry_file(service_data_copy)
    before = registry.read_bytes()
    with serve_in_process(service_data_copy) as client:
        _assert_ready(client)
        change(open_only(service_data_copy))
        _assert_not_ready(client, f"{', '.join(parts)} differ", "version 1")
        registry.write_bytes(before)
        _assert_ready(client)


def test_readyz_with_hard_limit_below_soft_limit_names_the_view(
    service_data_copy: Path, service_log: pytest.LogCaptureFixture
) -> None:
    registry = registry_file(service_data_copy)
    before = registry.read_bytes()
    with serve_in_process(service_data_copy) as client:
        _assert_ready(client)
        for hours, is_wrong in ((24, True), (48, False)):
            store = open_only(service_data_copy)
            view = store.get_feature_view("customer_recent_activity")
            view.ttl = timedelta(hours=hours)
            store.registry.apply_feature_view(view, store.project)
            which = "below the soft one (customer_recent_activity: ttl 24 h, soft limit 48 h)."
            _assert_not_ready(client, which if is_wrong else "feature_service differ")
        assert "soft_limit_hours" in service_log.text
        registry.write_bytes(before)
        _assert_ready(client)


def test_readyz_ignores_code_of_the_label(service_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_repo.labels.label_sql", lambda *arguments, **days: "SELECT 1")
    with serve_in_process(service_data) as client:
        _assert_ready(client)


def test_readyz_ignores_settings_of_training(service_data: Path) -> None:
    with serve_in_process(service_data, HOLDFAST_HORIZON_DAYS="7", HOLDFAST_ACTIVITY_DAYS="1") as client:
        _assert_ready(client)
        assert client.post("/predict", json={"customer_id": "c005"}).json()["active"] is True


def test_readyz_with_version_that_was_not_built_names_it(
    service_data_copy: Path, service_log: pytest.LogCaptureFixture
) -> None:
    _rewrite_contract(service_data_copy, lambda c: {"fingerprint": c.fingerprint | {"transformations": "0" * 64}})
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "The registry of version", "does not exist")
    assert "with the code that the model was trained with" in service_log.text


def test_readyz_with_retired_version_is_not_ready(service_data_copy: Path) -> None:
    with serve_in_process(service_data_copy) as client:
        _assert_ready(client)
        folder = registry_file(service_data_copy).parent
        away = folder.rename(service_data_copy / "away")
        _assert_not_ready(client, "The registry of version", "does not exist")
        away.rename(folder)
        _assert_ready(client)


def test_readyz_with_other_input_order_names_inputs(service_data_copy: Path) -> None:
    _rewrite_contract(service_data_copy, lambda c: {"inputs": [*c.inputs[1:], c.inputs[0]]})
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "inputs differ")


def test_readyz_with_one_changed_byte_is_not_ready(service_data_copy: Path) -> None:
    file = _model_folder(service_data_copy) / "model.skops"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "SHA-256", "version 1")


def test_readyz_with_untrusted_types_is_not_ready(service_data_copy: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    file = _model_folder(service_data_copy) / "model.skops"
    skops.io.dump(FunctionTransformer(hashlib.sha256), file)
    _rewrite_contract(service_data_copy, lambda _: {"model_sha256": hashlib.sha256(file.read_bytes()).hexdigest()})
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "not trusted")


@pytest.mark.parametrize("name", ["model.skops", "contract.json"])
def test_readyz_with_incomplete_model_names_file_in_log(
    service_data_copy: Path, name: str, service_log: pytest.LogCaptureFixture
) -> None:
    (_model_folder(service_data_copy) / name).unlink()
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "incomplete")
    assert f"{name} cannot be read" in service_log.text


def test_readyz_without_saved_model_is_not_ready(service_data_copy: Path) -> None:
    (service_data_copy / "bentoml/models/holdfast-churn").rename(service_data_copy / "bentoml/models/other")
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "holdfast-churn:latest")


@pytest.mark.parametrize(("name", "what"), [("registry.db", "registry"), ("online_store.db", "online store")])
def test_readyz_with_missing_store_recovers_when_created(service_data_copy: Path, name: str, what: str) -> None:
    file = registry_file(service_data_copy).with_name(name)
    away = file.rename(service_data_copy / "away")
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, f"The {what} of version", "does not exist")
        assert not file.exists()
        away.rename(file)
        _assert_ready(client)


def test_readyz_with_empty_registry_is_not_ready(service_data_copy: Path) -> None:
    registry_file(service_data_copy).write_bytes(b"")
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "no feature service churn_v1")


def test_readyz_with_broken_registry_is_not_ready(service_data_copy: Path) -> None:
    registry_file(service_data_copy).write_bytes(b"\xff" * 100)
    with serve_in_process(service_data_copy) as client:
        _assert_not_ready(client, "registry cannot be read")


def test_readyz_with_broken_online_store_is_503(service_data_copy: Path, service_log: pytest.LogCaptureFixture) -> None:
    table = f"holdfast_{only_version(service_data_copy)}_customer_recent_activity"
    with serve_in_process(service_data_copy) as client:
        _assert_ready(client)
        _rename_table(service_data_copy, table, "removed")
        assert_error(client.post("/predict", json=REQUEST), 503, "online store cannot be read")
        for _ in range(3):
            _assert_not_ready(client, "online store cannot be read")
        _rename_table(service_data_copy, "removed", table)
        _assert_ready(client)
    assert service_log.text.count("Not ready") == service_log.text.count("no such table") == 1


def _rename_table(data: Path, name: str, new: str) -> None:
    with sqlite3.connect(online_file(data)) as database:
        database.execute(f"ALTER TABLE {name} RENAME TO {new}")


def test_not_ready_is_logged_once_with_remedy(service_data_copy: Path, service_log: pytest.LogCaptureFixture) -> None:
    registry_file(service_data_copy).unlink()
    with serve_in_process(service_data_copy) as client:
        for _ in range(3):
            _assert_not_ready(client, "The registry of version")
    messages = [record.getMessage() for record in service_log.records if "Not ready" in record.getMessage()]
    assert len(messages) == 1
    assert str(service_data_copy) in messages[0]
    assert "python -m flows.features" in messages[0]


def test_not_ready_log_names_the_part(service_data_copy: Path, service_log: pytest.LogCaptureFixture) -> None:
    from services.churn import ChurnService

    _rewrite_contract(service_data_copy, lambda c: {"inputs": c.inputs[::-1]})
    with service_environment(service_data_copy):
        ChurnService()
    assert "inputs differ" in service_log.text
    assert "Restore its registry" in service_log.text


def test_readyz_without_recency_is_not_ready(service_data_copy: Path) -> None:
    with serve_in_process(service_data_copy) as client:
        store = open_only(service_data_copy)
        service = store.get_feature_service(FEATURE_SERVICE)
        for projection in service.feature_view_projections:
            projection.features = [item for item in projection.features if item.name != "days_since_last_purchase"]
        store.registry.apply_feature_service(service, store.project)
        _assert_not_ready(client, "feature_service, inputs differ")
