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

from holdfast.online_features.reader import OnlineReader, RawColumns
from tests.support.definition_changes import change_function, change_limit, drop_feature
from tests.support.service_fixtures import assert_error, serve_in_process
from tests.support.service_requests import predict, probabilities, problem_kind
from tests.support.service_state import CUSTOMERS

SOME = CUSTOMERS[:20]


CHANGES = [(change_limit, "feature_service"), (drop_feature, "inputs"), (change_function, "on_demand")]


@dataclass
class Load:
    """Requests with their times and responses."""

    answers: list[tuple[float, str, Any]] = field(default_factory=list)
    stopped: bool = False

    def keep_asking(self, client: TestClient, place: int) -> None:
        while not self.stopped:
            customer = SOME[place % len(SOME)]
            place += 1
            sent = time.monotonic()
            self.answers.append((sent, customer, predict(client, customer)))

    def since(self, moment: float) -> list[Any]:
        """Return the responses to requests after ``moment``."""
        return [answer for sent, _, answer in list(self.answers) if sent > moment]

    def wait_for(self, moment: float, count: int) -> list[Any]:
        """Wait for ``count`` more responses."""
        give_up = time.monotonic() + 30
        while len(found := self.since(moment)) < count:
            assert time.monotonic() < give_up, f"only {len(found)} answers"
            time.sleep(0.01)
        return found


@contextmanager
def under_load(client: TestClient, threads: int = 4) -> Iterator[Load]:
    load = Load()
    workers = [threading.Thread(target=load.keep_asking, args=(client, 5 * place)) for place in range(threads)]
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
    from holdfast.feast_stores.open_store import open_store

    monkeypatch.setattr("services.inference.feature_client.RETRY_SECONDS", 0.0)
    registry = service_data_copy / "feast" / "registry.db"
    before = registry.read_bytes()
    with serve_in_process(service_data_copy, HOLDFAST_REGISTRY_START_SECONDS="0") as client:
        right = probabilities(client, SOME)
        with under_load(client) as load:
            assert all(answer.status_code == 200 for answer in load.wait_for(0, 50))
            change(open_store())
            changed = time.monotonic()
            refused = load.wait_for(changed, 50)
            assert_error(client.get("/readyz"), 503, part, "differ", "version 1")
            replaced = registry.with_name("as-before")
            replaced.write_bytes(before)
            replaced.replace(registry)
            restored = time.monotonic()
            load.wait_for(restored, 50)
        for answer in refused:
            assert_error(answer, 503, part, "differ")
            assert problem_kind(answer) == "not_ready"
        for answer in load.since(restored):
            assert answer.status_code == 200
        for _, customer, answer in load.answers:
            assert answer.status_code in (200, 503)
            if answer.status_code == 200:
                assert answer.json()["churn_probability"] == right[customer]
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(("change", "part"), CHANGES)
def test_definitions_changed_during_read_discard_the_read(
    service_data_copy: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None], part: str
) -> None:
    from holdfast.feast_stores.open_store import open_store

    fetch, changes = OnlineReader.fetch, [change]

    def changed_meanwhile(reader: OnlineReader, customer_ids: Sequence[str]) -> RawColumns:
        raw = fetch(reader, customer_ids)
        if list(customer_ids) == ["c001"] and changes:
            changes.pop()(open_store())
        return raw

    monkeypatch.setattr(OnlineReader, "fetch", changed_meanwhile)
    with serve_in_process(service_data_copy, HOLDFAST_REGISTRY_START_SECONDS="0") as client:
        assert predict(client, "c002").status_code == 200
        assert_error(predict(client, "c001"), 503, part, "differ")
