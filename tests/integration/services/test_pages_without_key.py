"""Attacks by pages that every caller may read: they cost little, and hold no prediction up."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from services import churn
from services.engine import PredictionEngine
from tests.support.service_fixtures import serve_in_process
from tests.support.waiting import wait_for

CALLERS = 60  # more than a pool of threads has
PAGES = ("/readyz", "/models/churn/readyz")


def test_docs_json_is_built_once(service_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []

    def build(*arguments: str) -> dict[str, Any]:
        built.append(arguments)
        return {"openapi": "3.1.0"}

    monkeypatch.setattr(churn, "openapi_document", build)
    with serve_in_process(service_data, HOLDFAST_KEYLESS="") as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/docs.json"), range(40)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, '{"openapi": "3.1.0"}')}
    assert len(built) == 1


@pytest.mark.parametrize("page", PAGES)
def test_waiting_readers_of_a_page_hold_no_prediction_up(
    page: str, service_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the online store does not respond, and a caller without a key asks for the readiness again and again."""
    waiting, release = threading.Semaphore(0), threading.Event()
    original = PredictionEngine.require_ready

    def wait(self: PredictionEngine, *models: str) -> None:
        waiting.release()
        release.wait(60)
        original(self, *models)

    with serve_in_process(service_data) as client, ThreadPoolExecutor(CALLERS + 1) as pool:
        monkeypatch.setattr(PredictionEngine, "require_ready", wait)
        readers = [pool.submit(client.get, page) for _ in range(CALLERS)]
        try:
            assert waiting.acquire(timeout=60)
            wait_for(lambda: all(reader.running() for reader in readers), 60)
            prediction = pool.submit(client.post, "/predict", json={"customer_id": "c001"})
            assert prediction.result(30).status_code == 200
            assert client.get("/livez").status_code == 200
            assert client.get("/docs.json").status_code == 200
            assert not any(reader.done() for reader in readers)
        finally:
            release.set()
        assert {reader.result(60).status_code for reader in readers} == {200}
