"""The service scores with the registry's champion, and follows a moved alias."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_repo.settings import Settings
from holdfast.models.contract import CHAMPION
from tests.support.registry import Registry, make_registry
from tests.support.service_fixtures import serve_in_process, service_environment
from tests.support.service_state import fit
from tests.support.waiting import wait_for

REQUEST = {"customer_id": "c005"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return make_registry(tmp_path_factory.mktemp("registry"))


def _register(registry: Registry, settings: Settings, folder: Path, seed: int, **changed: Any) -> str:
    """Register a version trained on the features of ``service_data``."""
    served, content = fit(settings, folder, version="", seed=seed)
    return registry.register(content, served.model_copy(update=changed).model_dump_json())


def _answer(client: TestClient) -> tuple[str, float]:
    response = client.post("/predict", json=REQUEST)
    assert response.status_code == 200, response.text
    return response.json()["model_version"], response.json()["churn_probability"]


def test_moved_alias_is_served_and_other_definitions_are_not(
    service_data: Path, registry: Registry, tmp_path: Path, service_log: pytest.LogCaptureFixture
) -> None:
    with service_environment(service_data) as settings:
        first, second, third = (_register(registry, settings, tmp_path, seed) for seed in (1, 2, 3))
        served, _ = fit(settings, tmp_path)
        other = _register(registry, settings, tmp_path, 4, fingerprint=served.fingerprint | {"on_demand": "0" * 64})
    registry.set_alias(CHAMPION, second)
    variables = {"MLFLOW_TRACKING_URI": registry.uri, "HOLDFAST_REGISTRY_POLL_SECONDS": "0.1"}
    with serve_in_process(service_data, **variables) as client:
        version, score = _answer(client)
        assert version == second  # version 1 is in the bento
        registry.set_alias(CHAMPION, other)
        wait_for(lambda: f"Version {other} is named" in service_log.text, 60, lambda: service_log.text)
        assert _answer(client) == (second, score)
        assert client.get("/readyz").status_code == 200
        assert "of the feature definitions does not exist" in service_log.text
        registry.set_alias(CHAMPION, third)
        wait_for(lambda: _answer(client)[0] == third, 60, lambda: service_log.text)
        assert _answer(client)[1] != score
        registry.set_alias(CHAMPION, second)
        wait_for(lambda: _answer(client) == (second, score), 60, lambda: service_log.text)
    assert first != second
