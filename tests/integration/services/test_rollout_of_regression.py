"""Rollouts of a regression model in a served process under load, beside the classification."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_repo.settings import Settings
from holdfast.alerting.outbox import list_open_alerts
from holdfast.core.prediction_log import read_predictions
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version, set_challenger, set_champion
from holdfast.model_versions.records import RolloutRecord, parse_events
from holdfast.packaging.smoke_test import serve_bento
from holdfast.rollout.settings import RolloutSettings
from holdfast.shared_state.work_locks import work_lock
from holdfast.training.mlflow_client import ModelClient
from tests.support.model_load import under_load
from tests.support.registered_versions import record_passed_gates
from tests.support.service_fixtures import service_environment
from tests.support.service_state import CUSTOMERS
from tests.support.small_shop import fast_flows
from tests.support.two_models import SPEND, TwoModels, build_two_models, fit_spend
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

RULES = RolloutSettings(min_requests=60, watch_minutes=0.1, latency_floor_ms=2000, poll_seconds=1)


@dataclass
class ServedShop:
    """A served process with both models."""

    url: str
    models: TwoModels
    settings: Settings
    client: Any

    def pair(self, scale: float) -> tuple[str, str]:
        """Serve a champion of spend, and register a challenger of another scale that has passed its gates."""
        champion, challenger = (self._register(value) for value in (30.0, scale))
        set_champion(self.client, champion)
        record_passed_gates(self.client, challenger, champion)
        set_challenger(self.client, challenger)
        wait_for(lambda: self.versions("/models/spend") == {champion})
        return champion, challenger

    def _register(self, scale: float) -> str:
        contract, content = fit_spend(self.models.contract, self.models.matrix, scale=scale)
        return self.models.register_spend(content, contract.model_dump_json())

    def predict(self, prefix: str) -> list[dict[str, Any]]:
        """Return the predictions of a model."""
        body = {"customer_ids": CUSTOMERS[:30]}
        response = httpx.post(f"{self.url}{prefix}/predict_batch", json=body, timeout=30).json()
        found: list[dict[str, Any]] = response["predictions"]
        return found

    def versions(self, prefix: str) -> set[str]:
        """Return the versions that predict for thirty customers."""
        return {item["model_version"] for item in self.predict(prefix)}

    def steps(self, version: str) -> list[tuple[str, str]]:
        """Return step and verdict of each end of a step."""
        tags = self.client.get_model_version(SPEND, version).tags
        events = [event for event in parse_events(tags, version) or [] if isinstance(event, RolloutRecord)]
        return [(event.step, event.verdict) for event in events if event.verdict != "begun"]


@pytest.fixture(scope="module")
def served(service_data: Path, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedShop]:
    models = build_two_models(service_data, tmp_path_factory.mktemp("rollout-of-regression"))
    with service_environment(models.data) as settings, fast_flows():
        client = ModelClient(settings.mlflow_tracking_uri, SPEND)
        set_champion(ModelClient(settings.mlflow_tracking_uri, "holdfast-churn"), "1")
        set_champion(client, "1")
        with serve_bento("services.churn:ChurnService", settings) as service, pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOLDFAST_SERVICE_URL", service.url)
            yield ServedShop(service.url, models, settings, client)


def test_good_challenger_becomes_champion_beside_an_unchanged_classification(served: ServedShop) -> None:
    from flows.rollout import rollout

    champion, challenger = served.pair(scale=32.0)
    before = [item["churn_probability"] for item in served.predict("/models/churn")]
    with (
        under_load(served.url, prefix="/models/spend") as spend,
        under_load(served.url, callers=1) as churn,
        work_lock(served.settings, "rollout-churn"),  # a rollout of the other model delays none of this one
    ):
        result = rollout(model="spend", rules=RULES)
    assert (result.version, result.verdict) == (challenger, "passed"), result.text
    assert served.steps(challenger) == [(step, "passed") for step in ("shadow", "canary", "canary", "watch")]
    assert get_champion_version(served.client) == challenger != champion
    assert {status for _, status, _ in [*spend.responses, *churn.responses]} == {200}
    log = read_predictions(served.models.data / "predictions", model="spend").to_pandas()
    assert set(log[log.version == challenger].route) == {"shadow", "canary", "champion"}
    assert served.versions("/models/spend") == {challenger}
    assert [item["churn_probability"] for item in served.predict("/models/churn")] == before


def test_challenger_of_another_level_is_stopped_in_shadow(served: ServedShop) -> None:
    from flows.rollout import rollout

    champion, challenger = served.pair(scale=2000.0)
    with under_load(served.url, prefix="/models/spend") as load:
        result = rollout(model="spend", rules=RULES)
    assert (result.version, result.verdict) == (challenger, "breached"), result.text
    assert "predictions of the same customers" in result.text
    assert served.steps(challenger) == [("shadow", "breached")]
    assert (get_champion_version(served.client), get_challenger_version(served.client)) == (champion, None)
    found = {item["model_version"] for _, _, body in load.responses for item in body.get("predictions", [body])}
    assert challenger not in found
    subject = f"holdfast.rollout.rolled_back:spend version {challenger}"
    assert subject in [alert.key for alert in list_open_alerts(served.settings)]
    assert rollout(model="churn").verdict == "nothing"
