"""Rollouts of a served process under load, with registry, prediction log and flow."""

import dataclasses
import hashlib
import io
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import skops.io

from holdfast.alerting.outbox import list_open_alerts
from holdfast.core.prediction_log import read_predictions
from holdfast.model_versions.aliases import (
    get_challenger_version,
    get_champion_version,
    set_challenger,
    set_champion,
)
from holdfast.model_versions.records import RollbackRecord, RolloutRecord, parse_events
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, TRUSTED_TYPES, ServedModel
from holdfast.packaging.smoke_test import serve_bento
from holdfast.rollout.settings import RolloutSettings
from holdfast.training.contract_builder import score_examples
from tests.support.model_load import under_load
from tests.support.registered_versions import record_passed_gates
from tests.support.registry import Registry, make_registry
from tests.support.service_fixtures import service_environment
from tests.support.service_state import CUSTOMERS, fit
from tests.support.small_shop import fast_flows, join_process, prefect_api, start_process
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

# Few requests, as the shop has 300 customers; polled as often as by default.
QUICK = RolloutSettings(min_requests=60, watch_minutes=0.1, latency_floor_ms=2000)
ONE_SECOND_POLL = QUICK.model_copy(update={"poll_seconds": 1.0})


@dataclasses.dataclass
class Shop:
    """A served process and its registry; each test registers its versions."""

    url: str
    data: Path
    settings: Any
    registry: Registry

    @property
    def client(self) -> Any:
        return self.registry.client

    def version(self, seed: int, flipped: bool = False) -> str:
        """Register a version; a flipped version scores active customers as churning."""
        served, content = fit(self.settings, self.data, seed=seed)
        if flipped:
            served, content = _flipped(served, content)
        return self.registry.register(content, served.model_copy(update={"model_version": ""}).model_dump_json())

    def pair(self, seed: int, flipped: bool = False) -> tuple[str, str]:
        """Serve a champion, and register a challenger that has passed its gates."""
        champion = self.version(seed)
        self.registry.set_alias(CHALLENGER, None)
        set_champion(self.client, champion)
        challenger = self.version(seed + 1, flipped)
        record_passed_gates(self.client, challenger, champion)
        set_challenger(self.client, challenger)
        wait_for(lambda: self.serves() == {champion})
        return champion, challenger

    def serves(self) -> set[str]:
        """Return the versions that score thirty customers."""
        body = {"customer_ids": CUSTOMERS[:30]}
        found = httpx.post(f"{self.url}/predict_batch", json=body, timeout=30).json()["predictions"]
        return {item["model_version"] for item in found}

    def events(self, version: str) -> list[tuple[str, float, str]]:
        """Return step, share and verdict of each event of the rollout."""
        tags = self.client.get_model_version(MODEL_NAME, version).tags
        events = [event for event in parse_events(tags, version) or [] if isinstance(event, RolloutRecord)]
        return [(event.step, event.share, event.verdict) for event in events]


def _flipped(served: ServedModel, content: bytes) -> tuple[ServedModel, bytes]:
    """Reverse the classes of a model, as if its labels were flipped."""
    model = skops.io.loads(content, trusted=TRUSTED_TYPES)
    model.calibrator.coef_ = -model.calibrator.coef_
    file = io.BytesIO()
    skops.io.dump(model, file)
    content = file.getvalue()
    examples = score_examples(model, [example.inputs for example in served.examples])
    changed = {"model_sha256": hashlib.sha256(content).hexdigest(), "examples": examples}
    return served.model_copy(update=changed), content


@pytest.fixture(scope="module")
def shop(service_data: Path, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    import shutil

    data = Path(shutil.copytree(service_data, tmp_path_factory.mktemp("rollout") / "data"))
    registry = make_registry(data / "mlflow")
    with service_environment(data) as settings, fast_flows():
        shop = Shop("", data, settings, registry)
        registry.set_alias(CHAMPION, shop.version(90))
        with serve_bento("services.churn:ChurnService", settings) as service, pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOLDFAST_SERVICE_URL", service.url)
            shop.url = service.url
            yield shop


def test_good_challenger_becomes_champion(shop: Shop) -> None:
    from flows.rollout import rollout

    champion, challenger = shop.pair(1)
    with under_load(shop.url) as load:
        began = time.monotonic()
        result = rollout(rules=ONE_SECOND_POLL)
        took = time.monotonic() - began
    assert (result.version, result.verdict) == (challenger, "passed"), result.text
    print(f"from challenger to watched champion in {took:.1f} s")
    assert get_champion_version(shop.client) == challenger
    assert get_challenger_version(shop.client) is None
    assert shop.events(challenger) == [
        ("shadow", 0.0, "begun"),
        ("shadow", 0.0, "passed"),
        ("canary", 0.05, "begun"),
        ("canary", 0.05, "passed"),
        ("canary", 0.25, "begun"),
        ("canary", 0.25, "passed"),
        ("watch", 1.0, "begun"),
        ("watch", 1.0, "passed"),
    ]
    assert {status for _, status, _ in load.responses} == {200}
    log = read_predictions(shop.data / "predictions").to_pandas()
    mine = log[log.version == challenger]
    assert set(mine.route) == {"shadow", "canary", "champion"}
    assert champion != challenger and shop.serves() == {challenger}
    assert rollout().verdict == "nothing"


def test_flipped_challenger_is_stopped_in_shadow(shop: Shop) -> None:
    from flows.rollout import rollout

    champion, challenger = shop.pair(3, flipped=True)
    with under_load(shop.url) as load:
        result = rollout(rules=ONE_SECOND_POLL)
        assert (result.version, result.verdict) == (challenger, "breached"), result.text
    assert "rank correlation" in result.text
    assert shop.events(challenger) == [("shadow", 0.0, "begun"), ("shadow", 0.0, "breached")]
    assert (get_champion_version(shop.client), get_challenger_version(shop.client)) == (champion, None)
    versions = {
        item["model_version"] for _, _, response in load.responses for item in response.get("predictions", [response])
    }
    assert challenger not in versions, "no response has its score"
    assert f"holdfast.rollout.rolled_back:version {challenger}" in [one.key for one in list_open_alerts(shop.settings)]


def test_flipped_canary_is_rolled_back_within_a_minute(shop: Shop) -> None:
    """The time from the first to the last canary score, with the default interval."""
    from flows.rollout import rollout

    champion, challenger = shop.pair(5, flipped=True)
    with under_load(shop.url, callers=2):
        result = rollout(rules=QUICK.model_copy(update={"shadow": False, "min_requests": 100_000}))
        assert (result.version, result.verdict) == (challenger, "breached"), result.text
        wait_for(lambda: shop.serves() == {champion})
        time.sleep(2)
    log = read_predictions(shop.data / "predictions").to_pandas()
    canary_times = log[(log.version == challenger)].answered_at
    lasted = (canary_times.max() - canary_times.min()).total_seconds()
    print(f"{len(canary_times)} responses of the flipped canary in {lasted:.1f} s")
    assert 0 < lasted < 60
    assert shop.events(challenger) == [("canary", 0.05, "begun"), ("canary", 0.05, "breached")]
    assert get_challenger_version(shop.client) is None


def test_worse_champion_is_rolled_back(shop: Shop) -> None:
    """The canary passes, because its guardrails are loose."""
    from flows.rollout import rollout
    from holdfast.rollout.step_runner import run_step
    from holdfast.rollout.steps import WATCH

    champion, challenger = shop.pair(7, flipped=True)
    blind = {"min_rank_correlation": -1, "max_difference": 1, "max_decision_change": 1, "max_psi": 100}
    rules = ONE_SECOND_POLL.model_copy(update=blind | {"shadow": False, "shares": (0.5,), "min_requests": 10})

    def only_the_watch_sees(client: Any, settings: Any, work: Any, service_data: Any) -> Any:
        if work.step == WATCH:
            work = dataclasses.replace(work, rules=ONE_SECOND_POLL.model_copy(update={"shares": (0.5,)}))
        return run_step(client, settings, work, service_data)

    with pytest.MonkeyPatch.context() as patch, under_load(shop.url):
        patch.setattr("holdfast.rollout.step_runner.run_step", only_the_watch_sees)
        result = rollout(rules=rules)
        assert result.verdict == "breached", result.text
        wait_for(lambda: shop.serves() == {champion})
    assert get_champion_version(shop.client) == champion
    back = RollbackRecord.load(shop.client, challenger)
    assert back is not None and (back.to, back.who) == (champion, "rollout")
    assert "rank correlation" in back.why
    assert shop.events(challenger)[-2:] == [("watch", 1.0, "begun"), ("watch", 1.0, "breached")]


def _roll_out(rules: RolloutSettings) -> None:
    from flows.rollout import rollout

    rollout(rules=rules)


def test_killed_rollout_resumes_and_its_lease_ends(shop: Shop) -> None:
    from flows.rollout import rollout

    champion, challenger = shop.pair(9)
    slow = ONE_SECOND_POLL.model_copy(update={"lease_seconds": 10, "shadow": False, "min_requests": 1_000_000})
    with service_environment(shop.data, HOLDFAST_SERVICE_URL=shop.url), under_load(shop.url, callers=2):
        child = start_process(_roll_out, shop.data, slow, api=prefect_api(), HOLDFAST_SERVICE_URL=shop.url)
        wait_for(lambda: challenger in shop.serves(), within=60)
        begun = RolloutRecord.load(shop.client, challenger)
        time.sleep(12)
        assert challenger in shop.serves(), "while it is watched, the lease is renewed"
        os.kill(child.pid, signal.SIGKILL)
        join_process(child)
        killed = time.monotonic()
        wait_for(lambda: shop.serves() == {champion}, within=30)
        print(f"the unwatched canary ended after {time.monotonic() - killed:.1f} s")
        assert time.monotonic() - killed < 10 + 3 + 5
        assert begun is not None
        # It would go on by the rules it was begun with, for which there are never enough requests.
        patient = begun.model_copy(update={"rules": begun.rules | {"min_requests": 60}})
        patient.write_tag(shop.client, challenger)
        result = rollout()
    assert (result.version, result.verdict) == (challenger, "passed"), result.text
    tags = shop.client.get_model_version(MODEL_NAME, challenger).tags
    events = [event for event in parse_events(tags, challenger) or [] if isinstance(event, RolloutRecord)]
    first = next(event for event in events if event.verdict == "passed")
    assert (first.share, first.started_at) == (0.05, begun.started_at), "the same step, since the same time"
    assert get_champion_version(shop.client) == challenger
