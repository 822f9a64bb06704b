"""Explanations: contributions add up to the score, or there are none."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from starlette.testclient import TestClient

from holdfast.models.loaded_model import LoadedModel
from holdfast.models.reason_codes import select_reasons
from services.models.loader import load_saved_model
from tests.support.definition_versions import only_version
from tests.support.service_fixtures import assert_error, serve_in_process, service_environment
from tests.support.service_state import AS_OF, CUSTOMERS, ONE_PURCHASE, fit, offline_matrix


@pytest.fixture(scope="module")
def model(service_data: Path) -> LoadedModel:
    """The served model."""
    with service_environment(service_data):
        return load_saved_model(next((service_data / "bentoml/models/holdfast-churn").glob("v1-*")))


def _explained(client: TestClient, *ids: str) -> list[dict]:
    response = client.post("/predict_batch", json={"customer_ids": ids, "explain": True})
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def test_contributions_add_up_to_log_odds_of_score(client: TestClient, model: LoadedModel) -> None:
    platt = model.estimator.calibrator
    for item in _explained(client, *CUSTOMERS):
        explanation = item["explanation"]
        assert list(explanation) == ["typical_log_odds", "log_odds", "contributions", "reasons"]
        assert list(explanation["contributions"]) == model.contract.inputs
        total = explanation["typical_log_odds"] + sum(explanation["contributions"].values())
        assert total == pytest.approx(explanation["log_odds"], abs=1e-12)
        calibrated = expit(platt.coef_[0, 0] * total + platt.intercept_[0])
        assert item["churn_probability"] == pytest.approx(calibrated, abs=1e-12)


def test_typical_log_odds_are_those_of_the_contract(client: TestClient, model: LoadedModel) -> None:
    typical = np.array([model.contract.reference], dtype=float)
    [item] = _explained(client, "c005")
    explanation = item["explanation"]["typical_log_odds"]
    assert explanation == pytest.approx(model.estimator.decision_function(typical)[0], abs=1e-12)


def test_reasons_contain_the_model_inputs(client: TestClient, model: LoadedModel, service_data: Path) -> None:
    with service_environment(service_data):
        matrix = offline_matrix(CUSTOMERS, AS_OF, only_version(service_data))
    raised = lowered = 0
    for item, row in zip(_explained(client, *CUSTOMERS), matrix.tolist(), strict=True):
        explanation = item["explanation"]
        assert len(explanation["reasons"]) <= 3
        expected = select_reasons(model.contract.inputs, row, list(explanation["contributions"].values()))
        assert [reason["text"] for reason in explanation["reasons"]] == [reason.text for reason in expected]
        for reason in explanation["reasons"]:
            assert list(reason) == ["text", "effect", "direction", "inputs"]
            effect = sum(explanation["contributions"][name] for name in reason["inputs"])
            assert reason["effect"] == pytest.approx(effect, abs=1e-12)
            raised += reason["direction"] == "raises" and effect > 0
            lowered += reason["direction"] == "lowers" and effect < 0
    assert raised > 100
    assert lowered > 100


def test_reasons_of_one_time_buyer_name_no_rhythm(client: TestClient) -> None:
    [item] = _explained(client, ONE_PURCHASE)
    texts = [reason["text"] for reason in item["explanation"]["reasons"]]
    assert any("bought on one day only" in text for text in texts), texts


def test_explain_single_equals_batch_and_keeps_scores(client: TestClient) -> None:
    plain = client.post("/predict", json={"customer_id": "c005"}).json()
    assert plain["explanation"] is None
    assert client.post("/predict", json={"customer_id": "c005", "explain": False}).json() == plain
    single = client.post("/predict", json={"customer_id": "c005", "explain": True}).json()
    assert single | {"explanation": None} == plain
    batch = _explained(client, "c001", "no-such-id", "c005", "c005")
    assert [item["status"] for item in batch] == ["ok", "unknown_customer", "ok", "ok"]
    assert batch[1]["explanation"] is None
    assert batch[2] == batch[3]
    assert batch[2]["explanation"] == single["explanation"]


def test_reasons_depend_on_as_of(client: TestClient) -> None:
    def reasons(as_of: str) -> str:
        response = client.post("/predict", json={"customer_id": "c005", "as_of": as_of, "explain": True})
        return json.dumps(response.json()["explanation"])

    assert reasons("2024-03-01") != reasons("2024-03-21")


def test_explain_batch_of_1000_succeeds(client: TestClient) -> None:
    found = _explained(client, *[CUSTOMERS[i % 300] for i in range(1000)])
    assert all(item["explanation"]["reasons"] for item in found)


class TestNonAdditiveModel:
    """A model with interactions has scores, but no reasons."""

    @pytest.fixture(scope="class")
    def interacting(self, service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        import shutil

        from holdfast.packaging.bento_stores import save_served_model

        data = Path(shutil.copytree(service_data, tmp_path_factory.mktemp("interacting") / "data"))
        with service_environment(data) as settings, tempfile.TemporaryDirectory() as folder:
            save_served_model(settings, *fit(settings, Path(folder), version="2", additive=False))
        yield data

    def test_non_additive_model_scores_without_reasons(
        self, interacting: Path, service_log: pytest.LogCaptureFixture
    ) -> None:
        request = {"customer_id": "c005"}
        with serve_in_process(interacting) as client:
            assert client.post("/predict", json=request).json()["model_version"] == "2"
            for _ in range(3):
                response = client.post("/predict", json=request | {"explain": True})
                assert_error(
                    response, 501, "Model version 2 gives no exact reasons", "Send the request without explain"
                )
            many = {"customer_ids": CUSTOMERS, "explain": True}
            assert_error(client.post("/predict_batch", json=many), 501, "no exact reasons")
            assert client.get("/readyz").status_code == 200
        [message] = [r.getMessage() for r in service_log.records if "cannot be explained" in r.getMessage()]
        assert message.startswith("Model version 2 cannot be explained.")
        assert "no_interactions" in message

    def test_explain_model_without_log_odds_raises(self, service_data: Path, model: LoadedModel) -> None:
        from holdfast.models.contributions import NotAdditiveError

        with pytest.raises(NotAdditiveError, match="no decision_function"):
            LoadedModel(model.contract, object(), 1).contributions(np.zeros((1, 18)))

    def test_explain_with_reversed_classes_flips_signs(self, model: LoadedModel) -> None:
        """Log-odds are those of churn in any order of the classes."""
        x = np.nan_to_num(np.array([model.contract.reference], dtype=float)) + 1
        churn, stay = (LoadedModel(model.contract, model.estimator, column).contributions(x) for column in (1, 0))
        assert stay.base == -churn.base
        assert stay.values.tolist() == (-churn.values).tolist()
