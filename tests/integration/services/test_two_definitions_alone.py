"""Property: with two versions of the definitions, each customer gets what the scoring model alone would return."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.model_names import CHURN
from holdfast.core.prediction_log import ScoredBatch
from holdfast.models.loaded_version import LoadedVersion
from holdfast.models.registry_client import RegistryClient
from services.features.feature_client import FeatureClient
from services.features.input_reader import InputReader
from services.features.version_inputs import ScoringRequest
from services.inference.model_predictors import ModelPredictors
from services.inference.recorder import ScoreRecorder
from services.models.served_models import ServedModels
from tests.support.service_state import AS_OF
from tests.support.two_definitions import CHALLENGER_VERSION, CHAMPION_VERSION, build_once, copy_two_definitions

BROKEN_OLD, BROKEN_NEW, BROKEN_BOTH = "c010", "c011", "c012"
NAMES = [*(f"c{number:03d}" for number in range(40)), "unknown", "unknown too"]
# Fresh, stale and expired features, and a time before these; None is the clock.
TIMES = [None, *(AS_OF + timedelta(days=days) for days in (1, 3, 29, 31, -1))]
REQUESTS = st.lists(
    st.tuples(st.lists(st.sampled_from(NAMES), min_size=1, max_size=12), st.sampled_from(TIMES)), min_size=1, max_size=4
)
TRAFFIC = st.sampled_from([("shadow", 0.0), *(("canary", share) for share in (0.05, 0.25, 0.5, 1.0))])


class Shop:
    """Predictor in this process, on a data folder with two versions."""

    def __init__(self, loaded: Sequence[LoadedVersion], environment: Any) -> None:
        self.champion, self.challenger = loaded
        self.models = ServedModels(self.champion)
        reader = InputReader(environment, FeatureClient(environment, 10.0))
        self._predictor = ModelPredictors(reader, {CHURN: lambda: self.models})
        self.logged: list[ScoredBatch] = []
        self._recorder = ScoreRecorder(reader, self.logged.append, {CHURN: "churn_probability"})

    def score(self, models: ServedModels, requests: Sequence[ScoringRequest]) -> list[tuple[Any, ...]]:
        """Score in one batch; returns what the caller gets of each row."""
        self.models = models
        self.logged.clear()
        results: list[Any] = self._predictor.score(requests)
        batch = results[0][CHURN].batch
        scores, checked = batch.scores, batch.inputs.checked
        self._recorder.record(self._predictor.take_scored())
        return [
            (checked.rejected[row].reason,)
            if row in checked.rejected
            else (
                scores.models[row].contract.model_version,
                float(scores.predictions[row]).hex(),
                int(scores.newest_us[row]),
                bool(scores.stale[row]),
                bool(scores.active[row]),
            )
            for row in range(len(batch.usable))
        ]

    def logged_rows(self, route: str) -> list[tuple[Any, ...]]:
        """Return the logged rows of a route, with their inputs as bytes."""
        return [
            (
                batch.version,
                customer,
                int(batch.as_of_us[row]),
                batch.inputs[row].tobytes(),
                float(batch.predictions[row]).hex(),
            )
            for batch in self.logged
            if batch.route == route
            for row, customer in enumerate(batch.customer_ids)
        ]


@pytest.fixture(
    scope="module",
    params=[("sqlite", "feature removed"), ("redis", "window changed"), ("redis", "feature added")],
    ids=lambda case: f"{case[0]}-{case[1]}",
)
def shop(
    request: pytest.FixtureRequest, service_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    store, change = request.param
    with copy_two_definitions(build_once(service_data, change), tmp_path_factory.mktemp("alone"), store) as found:
        for version, customers in ((found.old, (BROKEN_OLD, BROKEN_BOTH)), (found.new, (BROKEN_NEW, BROKEN_BOTH))):
            for customer in customers:
                found.remove_value(version, customer)
        registry = RegistryClient(found.registry.uri)
        versions = (CHAMPION_VERSION, CHALLENGER_VERSION)
        with found.environment() as environment:
            yield Shop([registry.download_and_load(found.contracts[version]) for version in versions], environment)


@settings(max_examples=25, deadline=None)
@given(drawn=REQUESTS, traffic=TRAFFIC)
def test_scores_with_two_versions_equal_those_of_each_alone(shop: Shop, drawn: Any, traffic: Any) -> None:
    requests = [ScoringRequest(ids, as_of, False, str(number)) for number, (ids, as_of) in enumerate(drawn)]
    customers = [customer for request in requests for customer in request.customer_ids]
    old = shop.score(ServedModels(shop.champion), requests)
    old_log = shop.logged_rows("champion")
    new = shop.score(ServedModels(shop.challenger), requests)
    new_log = shop.logged_rows("champion")
    mode, share = traffic
    models = ServedModels(shop.champion, shop.challenger, mode, share)
    both = shop.score(models, requests)
    expected = [
        new[row] if len(old[row]) > 1 and len(new[row]) > 1 and models.routes_to_canary(customer) else old[row]
        for row, customer in enumerate(customers)
    ]
    assert both == expected
    scored = {row for row, one in enumerate(both) if len(one) > 1}
    is_logged_by = [one[0] if row in scored else None for row, one in enumerate(both)]
    own = [row for row, version in enumerate(is_logged_by) if version == CHAMPION_VERSION]
    assert len(shop.logged_rows("champion")) == len(own)
    assert set(shop.logged_rows("champion")) <= set(old_log)
    route = "shadow" if mode == "shadow" else "canary"
    of_challenger = shop.logged_rows(route)
    assert set(of_challenger) <= set(new_log)
    if mode == "shadow":
        assert len(of_challenger) == sum(len(old[row]) > 1 and len(new[row]) > 1 for row in range(len(customers)))
    else:
        assert len(of_challenger) == len(scored) - len(own)
