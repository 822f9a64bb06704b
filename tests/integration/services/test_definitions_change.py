"""Definitions that change under load: no response combines the old model with the new definitions."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from holdfast.feast_stores.raw_values import RawColumns
from holdfast.online_features.reader import OnlineReader
from tests.support.definition_changes import change_function, change_limit, drop_feature
from tests.support.definition_versions import open_only, registry_file
from tests.support.service_fixtures import assert_error, serve_in_process
from tests.support.service_requests import predict, probabilities, problem_kind
from tests.support.service_state import CUSTOMERS
from tests.support.waiting import wait_for

SOME = CUSTOMERS[:20]


CHANGES = [(change_limit, "feature_service"), (drop_feature, "inputs"), (change_function, "on_demand")]


@dataclass
class Load:
    """Requests with their times and responses."""

    responses: list[tuple[float, str, Any]] = field(default_factory=list)
    stopped: bool = False

    def send_requests(self, client: TestClient, position: int) -> None:
        while not self.stopped:
            customer = SOME[position % len(SOME)]
            position += 1
            sent = time.monotonic()
            self.responses.append((sent, customer, predict(client, customer)))

    def since(self, time_sent: float) -> list[Any]:
        """Return the responses to requests after ``time_sent``."""
        return [response for sent, _, response in list(self.responses) if sent > time_sent]

    def wait_for(self, time_sent: float, count: int) -> list[Any]:
        """Wait for ``count`` more responses."""
        wait_for(
            lambda: len(self.since(time_sent)) >= count, 30, lambda: f"only {len(self.since(time_sent))} responses"
        )
        return self.since(time_sent)


@contextmanager
def under_load(client: TestClient, threads: int = 4) -> Iterator[Load]:
    load = Load()
    workers = [threading.Thread(target=load.send_requests, args=(client, 5 * position)) for position in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield load
    finally:
        load.stopped = True
        for worker in workers:
            worker.join()


@pytest.mark.parametrize(("change", "part"), CHANGES)
def test_changed_definitions_are_never_scored_with_old_model(
    service_data_copy: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None], part: str
) -> None:
    monkeypatch.setattr("services.features.version_registry.RETRY_SECONDS", 0.0)
    registry = registry_file(service_data_copy)
    before = registry.read_bytes()
    with serve_in_process(service_data_copy, HOLDFAST_REGISTRY_START_SECONDS="0") as client:
        right = probabilities(client, SOME)
        with under_load(client) as load:
            assert all(response.status_code == 200 for response in load.wait_for(0, 50))
            change(open_only(service_data_copy))
            changed = time.monotonic()
            refused = load.wait_for(changed, 50)
            assert_error(client.get("/readyz"), 503, part, "differ", "version 1")
            replaced = registry.with_name("as-before")
            replaced.write_bytes(before)
            replaced.replace(registry)
            restored = time.monotonic()
            load.wait_for(restored, 50)
        for response in refused:
            assert_error(response, 503, part, "differ")
            assert problem_kind(response) == "not_ready"
        for response in load.since(restored):
            assert response.status_code == 200
        for _, customer, response in load.responses:
            assert response.status_code in (200, 503)
            if response.status_code == 200:
                assert response.json()["churn_probability"] == right[customer]
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(("change", "part"), CHANGES)
def test_definitions_changed_during_read_discard_the_read(
    service_data_copy: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None], part: str
) -> None:
    start, changes = OnlineReader.start, [change]

    def changed_meanwhile(reader: OnlineReader, customer_ids: Sequence[str]) -> Callable[[], RawColumns]:
        raw = start(reader, customer_ids)()
        if list(customer_ids) == ["c001"] and changes:
            changes.pop()(open_only(service_data_copy))
        return lambda: raw

    monkeypatch.setattr(OnlineReader, "start", changed_meanwhile)
    with serve_in_process(service_data_copy, HOLDFAST_REGISTRY_START_SECONDS="0") as client:
        assert predict(client, "c002").status_code == 200
        assert_error(predict(client, "c001"), 503, part, "differ")
