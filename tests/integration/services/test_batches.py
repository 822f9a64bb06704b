"""Concurrent batches: no customer is lost, counted twice or scored with an invalid probability."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from holdfast.core.prediction_log import read_predictions
from holdfast.models.loaded_model import LoadedModel
from tests.support.service_fixtures import assert_error, serve_in_process
from tests.support.service_state import CUSTOMERS


def _logged(data: Path) -> list[dict[str, Any]]:
    return read_predictions(data / "predictions").to_pylist()


@pytest.mark.long
def test_concurrent_large_batches_are_all_logged(service_data_copy: Path) -> None:
    ids = [CUSTOMERS[i % 300] for i in range(1000)]
    with serve_in_process(service_data_copy) as client:

        def ask(number: int) -> int:
            headers = {"X-Request-ID": f"r{number}"}
            return client.post("/predict_batch", json={"customer_ids": ids}, headers=headers).status_code

        with ThreadPoolExecutor(40) as pool:
            responses = list(pool.map(ask, range(120)))
    answered = {f"r{number}" for number, status in enumerate(responses) if status == 200}
    assert set(responses) <= {200, 503}
    assert len(answered) >= 25, "as many as are let in at once"
    rows = _logged(service_data_copy)
    assert {row["request_id"] for row in rows} == answered
    assert len(rows) == 1000 * len(answered)


def test_failed_request_of_batch_is_not_logged_and_others_once(
    service_data_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("services.inference.predictor.explain", broken)
    with serve_in_process(service_data_copy) as client:

        def ask(number: int) -> int:
            body = {"customer_id": CUSTOMERS[number], "explain": number % 8 == 3}
            return client.post("/predict", json=body, headers={"X-Request-ID": f"r{number}"}).status_code

        with ThreadPoolExecutor(24) as pool:
            responses = list(pool.map(ask, range(96)))
    assert {responses[number] for number in range(96) if number % 8 == 3} == {500}
    assert {responses[number] for number in range(96) if number % 8 != 3} == {200}
    logged = sorted(row["request_id"] for row in _logged(service_data_copy))
    assert logged == sorted(f"r{number}" for number in range(96) if number % 8 != 3)


def test_invalid_probability_is_an_error(service_data_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_in_process(service_data_copy) as client:
        monkeypatch.setattr(LoadedModel, "churn_probabilities", lambda self, matrix: np.full(len(matrix), np.nan))
        assert_error(_ask(client), 500)
    assert _logged(service_data_copy) == []


def _ask(client: TestClient) -> Any:
    return client.post("/predict", json={"customer_id": "c001"})
