"""A feature of type String through the whole product: training, gates, batch scores, service, log, drift and skew."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.settings import Settings
from holdfast.core.prediction_log import read_predictions
from holdfast.models.categories import category_code, encode_categories
from holdfast.models.contract import CHAMPION, MODEL_NAME, ServedModel
from holdfast.monitoring.settings import DriftRules, MonitorSettings
from holdfast.monitoring.window import Window
from holdfast.promotion import behavioral_tests
from holdfast.training.label_query import current_label
from holdfast.training.model_families import FAMILIES
from holdfast.training.settings import Slice
from tests.support.country_shop import VIEW, country_transactions, use_country_shop
from tests.support.online_values import write_online_values
from tests.support.shop_fixtures import QUICK
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, register_definitions, registered_store
from tests.support.training_sets import default_split

pytestmark = pytest.mark.long

CUSTOMERS = sorted({row.customer_id for row in country_transactions()})
WINDOW = Window(AS_OF - timedelta(days=1), AS_OF, datetime.now(UTC))
RULES = MonitorSettings(drift=DriftRules(min_rows=50))
TRAINING = QUICK.model_copy(update={"slices": [*QUICK.slices, Slice(feature="country")]})


@dataclass(frozen=True)
class Country:
    """Shop with a trained champion, and the results of a day of service."""

    settings: Settings
    trained: Any
    contract: ServedModel
    predictions: dict[str, Any]
    scores: Any


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    """Train, score and serve; in the online store only, a customer moves to a new country and one loses theirs."""
    clock = {"HOLDFAST_CLOCK": AS_OF.isoformat()}
    with (
        use_country_shop(tmp_path_factory.mktemp("country"), **clock) as settings,
        pytest.MonkeyPatch.context() as patch,
    ):
        for family in FAMILIES.keys() - {"logistic"}:  # purchase models do not read the country
            patch.delitem(FAMILIES, family)
        from holdfast.batch_scoring.champion_model import load_champion
        from holdfast.batch_scoring.population import load_all_customers
        from holdfast.batch_scoring.scores_table import build_scores
        from holdfast.training.mlflow_client import open_registry
        from tests.support.service_fixtures import serve_in_process

        build_features(settings)
        trained = train(settings)
        open_registry(settings).set_registered_model_alias(MODEL_NAME, CHAMPION, trained.registered.version)
        champion = load_champion(settings)
        population = load_all_customers(settings, champion.contract.definitions, AS_OF, KNOWN_AT)
        scores = build_scores(population, champion).set_index("customer_id")
        write_online_values("fr-001", VIEW, {"country": Value(string_val="Chile")})
        write_online_values("fr-002", VIEW, {"country": Value()})
        with serve_in_process(settings.data, **clock) as client:
            response = client.post("/predict_batch", json={"customer_ids": CUSTOMERS, "explain": True})
            assert response.status_code == 200, response.text
        predictions = {item["customer_id"]: item for item in response.json()["predictions"]}
        yield Country(settings, trained, champion.contract, predictions, scores)


def train(settings: Settings) -> Any:
    """Train with the steps of the flow, without a search."""
    from holdfast.models.fingerprint import fingerprint
    from holdfast.training.category_encoding import require_categories
    from holdfast.training.dataset import build_training_set, find_labeled_cutoffs
    from holdfast.training.lineage import build_lineage
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import training_run
    from holdfast.training.model_selection import choose_model
    from holdfast.training.registration import evaluate_and_register

    cutoffs = find_labeled_cutoffs(settings, AS_OF, KNOWN_AT, 30).used
    data = build_training_set(settings, register_definitions(), cutoffs, AS_OF, KNOWN_AT)
    require_categories(data)
    definition = fingerprint(registered_store(), current_label(settings))
    lineage = build_lineage(settings, TRAINING, definition, AS_OF, KNOWN_AT)
    choice = choose_model([], data, default_split(data), TRAINING, settings.horizon_days)
    with training_run(open_tracking(settings), settings, lineage) as run_id:
        return evaluate_and_register(settings, TRAINING, lineage, choice, data, run_id)


def reason(prediction: dict[str, Any]) -> dict[str, Any]:
    return next((item for item in prediction["explanation"]["reasons"] if item["inputs"] == ["country"]), {})


def test_contract_names_known_and_rare_categories(country: Country) -> None:
    categories = country.contract.categories
    assert set(categories) == {"country"}
    assert categories["country"].known == ("", "France", "Österreich", "中国")
    assert categories["country"].rare == ("Malta",)
    assert country.contract.inputs[-1] == "country"
    assert country.contract.reference[-1] in encode_categories(["France", "Österreich"])


def test_training_finds_effect_of_country(country: Country) -> None:
    evaluation = country.trained.evaluation
    importance = {item.feature: item.drop for item in evaluation.importance}
    assert importance["country"].value > 0.01
    labels = [item.label for item in evaluation.slices if item.feature == "country"]
    assert {"France", "Österreich"} <= set(labels)


def test_candidate_keeps_direction_and_invariance(country: Country) -> None:
    from holdfast.model_versions.candidate import ModelCandidate
    from holdfast.training.mlflow_client import open_tracking

    candidate = ModelCandidate(open_tracking(country.settings), country.trained.registered.version)
    rows = candidate.test_rows(country.settings)
    view = registered_store().get_on_demand_feature_view("customer_request_time")
    udf = view.feature_transformation.udf
    assert behavioral_tests.measure_wrong_direction(candidate.score, rows, udf, 1e-9) == 0.0
    assert behavioral_tests.measure_variance(candidate.score, rows.x, 0) < 1e-12


def test_service_scores_equal_batch_scores_bit_for_bit(country: Country) -> None:
    moved = {"fr-001", "fr-002"}
    for customer in sorted(set(CUSTOMERS) - moved):
        item = country.predictions[customer]
        assert item["status"] == "ok", item
        assert item["churn_probability"] == country.scores.loc[customer, "churn_probability"], customer


def test_reasons_have_the_text_of_the_category(country: Country) -> None:
    expected = {"fr": "country is France", "at": "country is Österreich", "cn": "country is 中国"}
    expected |= {"em": "country is empty", "no": "country is not known", "mt": "country is Malta"}
    texts = {customer: reason(item).get("text") for customer, item in country.predictions.items() if reason(item)}
    moved = {"fr-001": "country is new since the training", "fr-002": "country is not known"}
    assert texts == {customer: moved.get(customer, expected[customer[:2]]) for customer in texts}
    assert len(texts) > 50
    batch = [text for texts in country.scores["reasons"] for text in texts if text.startswith("country is ")]
    assert len(batch) > 50


def test_new_category_scores_as_a_rare_one(country: Country) -> None:
    contributions = {
        customer: country.predictions[customer]["explanation"]["contributions"]["country"]
        for customer in ("fr-001", "mt-001", "mt-002", "fr-003")
    }
    assert contributions["fr-001"] == contributions["mt-001"] == contributions["mt-002"] != contributions["fr-003"]


def test_prediction_log_has_codes(country: Country) -> None:
    log = read_predictions(country.settings.predictions).to_pandas().set_index("customer_id")["country"]
    assert log["fr-000"] == category_code("France")
    assert log["fr-001"] == category_code("Chile")
    assert np.isnan(log["no-001"])


def test_skew_view_names_the_texts_that_differ(country: Country) -> None:
    from holdfast.monitoring.skew.view import run_skew_view

    result = run_skew_view(country.settings, WINDOW, RULES)
    rows = {row["customer"]: (row["feature"], row["logged"], row["recomputed"]) for row in result.table}
    assert rows == {
        "fr-001": (f"{VIEW}:country", repr(category_code("Chile")), "'France'"),
        "fr-002": (f"{VIEW}:country", "nan", "'France'"),
    }


def test_drift_view_notes_the_new_category(country: Country) -> None:
    from holdfast.monitoring.drift.view import run_drift_view

    result = run_drift_view(country.settings, WINDOW, RULES)
    metrics = {(row.metric, row.subject): row.value for row in result.metrics}
    assert metrics["psi", "country"] < 0.1
    active = metrics["customers", "predictions"] * metrics["active_share", "predictions"]
    was_active = "fr-001" in set(country.scores[country.scores["active"]].index)
    assert metrics["new_category_share", "country"] == pytest.approx(was_active / active)
    notes = [note for note in result.notes if "country" in note]
    assert notes == [f"Version 1: categories of country: new: an unknown text ({1 / active:.1%})."] * was_active
    assert [finding.subject for finding in result.findings if finding.subject == "country"] == []
    assert result.report is not None
    assert result.report() is not None
