"""A subscription shop through the whole product: the label counts subscriptions that are not renewed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.scores_table import read_scores
from holdfast.models.contract import ServedModel
from holdfast.models.label import SUBSCRIPTION_FEATURE, LabelTerms
from holdfast.monitoring.settings import MonitorSettings, PerformanceRules
from holdfast.monitoring.window import Window
from holdfast.reporting.run_summary import RunSummary
from holdfast.training.settings import SearchSettings, TrainingSettings
from tests.support import subscription_shop as shop
from tests.support.small_shop import fast_flows, use_data_folder
from tests.support.subscription_oracle import label_subscriptions

TRAINING = TrainingSettings(search=SearchSettings(trials=2), resamples=100)
CLOSED = shop.AS_OF + timedelta(days=shop.HORIZON + shop.GRACE)

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Subscriptions:
    """Shop with a champion, the scores of one day, the responses of a service, and the performance afterwards."""

    settings: Settings
    summary: RunSummary
    trained: Any
    contract: ServedModel
    recipe: Any
    scores: pd.DataFrame
    predictions: dict[str, Any]
    performance: Any


@pytest.fixture(scope="module")
def subscriptions(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subscriptions]:
    """Run the main job, score and serve at ``AS_OF``, and measure the cohort when it is mature."""
    folder = tmp_path_factory.mktemp("subscriptions")
    variables = shop.VARIABLES | {"HOLDFAST_CLOCK": shop.AS_OF.isoformat()}
    with use_data_folder(folder / "data", **variables), fast_flows():
        for name in shop.VARIABLES:
            del os.environ[name]  # the main job sets them; restored with the others at the end
        from flows._train_result import load_result
        from flows.lifecycle import lifecycle
        from flows.score import score
        from holdfast.batch_scoring.champion_model import load_champion
        from holdfast.model_versions.candidate import ModelCandidate
        from holdfast.monitoring.performance.view import run_performance_view
        from holdfast.training.mlflow_client import open_tracking
        from tests.support.service_fixtures import serve_in_process

        sources, mappings = map(list, zip(*shop.write_sources(folder), strict=True))
        churn = {"label": "not_renewed", "horizon_days": shop.HORIZON, "grace_days": shop.GRACE}
        summary = lifecycle(sources, mappings, as_of=shop.AS_OF, training=TRAINING, **churn)
        assert isinstance(summary, RunSummary), summary
        settings = Settings.from_environment()  # with the label, which the run has set
        trained = load_result(settings, summary.model_version)
        scores = read_scores(score(shop.AS_OF).table.path)
        with serve_in_process(settings.data, **variables) as client:
            ids = scores["customer_id"].tolist()[:400]
            response = client.post("/predict_batch", json={"customer_ids": ids, "explain": True})
            assert response.status_code == 200, response.text
        later = CLOSED + timedelta(days=3)
        window = Window(later - timedelta(days=1), later, later + timedelta(days=1000))
        rules = MonitorSettings(outcome=PerformanceRules(min_rows=30, resamples=50))
        recipe = ModelCandidate(open_tracking(settings), trained.model_version).recipe
        yield Subscriptions(
            settings,
            summary,
            trained,
            load_champion(settings).contract,
            recipe,
            scores.set_index("customer_id"),
            {item["customer_id"]: item for item in response.json()["predictions"]},
            run_performance_view(settings, window, rules),
        )


def due_customers() -> dict[str, bool]:
    """Return the customers whose subscription ends in the horizon of ``AS_OF``, and whether they churned."""
    found = label_subscriptions(shop.statements(), shop.first_payments(), [shop.AS_OF], shop.HORIZON, shop.GRACE)
    return {customer: churned for customer, _, churned in found}


def test_main_job_serves_the_model_and_proposes_no_horizon(subscriptions: Subscriptions) -> None:
    summary = subscriptions.summary
    assert (summary.champion, summary.horizon_advice) == (subscriptions.trained.model_version, "")
    assert summary.prediction["model_version"] == summary.champion
    assert summary.further_rows["attributes"].ingested > summary.transactions_ingested > 3000


def test_contract_of_the_model_has_the_label(subscriptions: Subscriptions) -> None:
    assert subscriptions.contract.terms == LabelTerms("not_renewed", shop.HORIZON, 180, shop.GRACE)
    assert SUBSCRIPTION_FEATURE in subscriptions.contract.inputs
    assert "subscription_end" in subscriptions.contract.label_sql


def test_test_rows_have_the_outcomes_of_the_oracle(subscriptions: Subscriptions) -> None:
    from holdfast.model_versions.candidate import ModelCandidate
    from holdfast.training.mlflow_client import open_tracking

    candidate = ModelCandidate(open_tracking(subscriptions.settings), subscriptions.trained.model_version)
    rows = candidate.test_rows(subscriptions.settings)
    found = zip(rows.keys["customer_id"], rows.keys["cutoff"], rows.y.tolist(), strict=True)
    cutoffs = list(subscriptions.recipe.test)
    expected = label_subscriptions(shop.statements(), shop.first_payments(), cutoffs, shop.HORIZON, shop.GRACE)
    assert sorted(found) == expected


def test_outcomes_of_the_fit_are_known_before_the_test(subscriptions: Subscriptions) -> None:
    wait = timedelta(days=shop.HORIZON + shop.GRACE)
    recipe = subscriptions.recipe
    assert recipe.development[-1] + wait <= recipe.test[0] < recipe.development[-1] + wait + timedelta(days=62)
    assert recipe.test[-1] + wait <= shop.AS_OF
    for fold in recipe.folds:
        assert fold.fit[-1] + wait <= fold.validation


def test_model_finds_the_effect_of_renewals(subscriptions: Subscriptions) -> None:
    """The mean prediction per number of renewals follows the shares by which the shop was generated."""
    renewals: dict[str, int] = {}
    latest: dict[str, Any] = {}
    for row in shop.statements():
        if row.stated_at < shop.AS_OF:
            if row.customer in latest and row.end > latest[row.customer]:
                renewals[row.customer] = renewals.get(row.customer, 0) + 1
            latest[row.customer] = row.end
    scores = subscriptions.scores[subscriptions.scores["active"]]["churn_probability"]
    groups = scores.groupby([min(renewals.get(customer, 0), 3) for customer in scores.index]).mean()
    expected = [1 - share * (1 - shop.TOO_LATE) for share in shop.RENEWAL_SHARES]
    np.testing.assert_allclose(groups.to_numpy(), expected, atol=0.1)
    assert groups.is_monotonic_decreasing
    evaluation = subscriptions.trained.evaluation
    assert evaluation.metrics["model"]["roc_auc"].low > 0.6
    assert subscriptions.trained.gates.failed == []


def test_purchase_models_are_no_baselines(subscriptions: Subscriptions) -> None:
    evaluation = subscriptions.trained.evaluation
    assert evaluation.metrics.keys() == {"model", "base_rate", "recency", "rfm"}
    assert "BG/NBD predicts purchases, not renewals" in " ".join(evaluation.describe_skipped())


def test_active_customers_are_those_whose_subscription_ends_in_the_horizon(subscriptions: Subscriptions) -> None:
    active = subscriptions.scores["active"]
    assert set(active[active].index) == due_customers().keys()
    assert 100 < active.sum() < len(active) / 2


def test_service_and_batch_agree(subscriptions: Subscriptions) -> None:
    scores = subscriptions.scores
    assert len(subscriptions.predictions) == 400
    for customer, item in subscriptions.predictions.items():
        assert item["churn_probability"] == scores.loc[customer, "churn_probability"], customer
        assert item["active"] == scores.loc[customer, "active"], customer
    texts = {text for texts in scores["reasons"] for text in texts if "subscription" in text}
    assert any(text.startswith("subscription renewed ") for text in texts)


def test_matured_cohort_is_measured_on_renewals(subscriptions: Subscriptions) -> None:
    rows = [row for row in subscriptions.performance.table if row["known"] == "measured"]
    expected = list(due_customers().values())
    assert [(row["cohort"], row["customers"]) for row in rows] == [(f"{shop.AS_OF:%Y-%m-%d}", len(expected))]
    churned = [item.value for item in subscriptions.performance.metrics if item.metric == "churned"]
    assert churned == [pytest.approx(np.mean(expected))]


def test_card_names_the_label(subscriptions: Subscriptions) -> None:
    from flows.model_card import model_card

    card = model_card(subscriptions.trained.model_version)
    text = card.markdown
    assert "no renewal of the subscription within 14 days of its end" in text
    assert "no purchase in" not in text and "buys nothing" not in text


def test_version_is_reproduced(subscriptions: Subscriptions) -> None:
    from holdfast.lineage.reproduction import load_recorded_version, reproduce_version
    from holdfast.training.mlflow_client import open_tracking

    recorded = load_recorded_version(open_tracking(subscriptions.settings), subscriptions.trained.model_version)
    assert reproduce_version(subscriptions.settings, recorded, lambda text: None).differences == []
