"""Tests of the correlation between offline performance and the performance and profit of served scores."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score

from feature_repo.settings import Settings
from holdfast.batch_scoring.champion_model import load_champion
from holdfast.batch_scoring.scoring_run import score_customers
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import applied_version
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.models.fingerprint import fingerprint
from holdfast.monitoring.performance.view import run_performance_view
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from holdfast.training.contract_builder import build_contract
from holdfast.training.dataset import build_training_set, find_labeled_cutoffs
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.label_query import current_label
from holdfast.training.model_families import FAMILIES
from holdfast.training.profit import optimal_threshold, profit_per_row
from holdfast.training.recipe import Recipe
from holdfast.training.settings import ValueSettings
from holdfast.training.time_split import split_by_time
from tests.support.main_job import MainJob
from tests.support.main_job_champion import Champion
from tests.support.registry import Registry, make_registry, serialize_model
from tests.support.small_shop import use_data_folder

# Inputs of each version; the others are zero. The first version has all inputs, as the champion.
VERSIONS: dict[str, list[str] | None] = {
    "all": None,
    "amounts": ["mean_purchase_amount", "total_amount"],
    "count": ["purchase_days"],
    "recency": ["days_since_last_purchase"],
    "rhythm": ["mean_gap_days", "std_gap_days", "last_gap_days", "max_gap_days"],
    "last amount": ["amount_30d"],
    "tenure": ["tenure_days"],
}
TRAINED = datetime(1998, 1, 1, tzinfo=UTC)
SERVED = [datetime(1998, 2, 1, tzinfo=UTC), datetime(1998, 4, 1, tzinfo=UTC)]
CDNOW_ENDS = datetime(1998, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def performances(main_job: MainJob, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Version to its test ROC-AUC ("offline") and to the metrics that monitoring computes months later.

    Versions of graded performance are trained as of 1998-01-01; each becomes champion and scores all active customers,
    as ``flows.score`` does. The performance view measures the matured cohorts.
    """
    folder = tmp_path_factory.mktemp("worth")
    data, registry = folder / "data", make_registry(folder / "mlflow")
    shutil.copytree(
        main_job.data, data, ignore=shutil.ignore_patterns("mlflow", "bentoml", "prefect", "scores", "local")
    )
    known_at = datetime.now(UTC)
    with use_data_folder(data, MLFLOW_TRACKING_URI=registry.uri, HOLDFAST_CLOCK=CDNOW_ENDS.isoformat()) as settings:
        offline = {}
        for name, version, roc_auc in _register_versions(settings, registry, known_at):
            offline[version] = {"name": name, "offline": roc_auc}
            registry.set_alias(CHAMPION, version)
            served = load_champion(settings)
            for as_of in SERVED:
                score_customers(settings, served, as_of, known_at)
        rules = MonitorSettings.model_validate({"outcome": {"resamples": 50}})
        found = run_performance_view(settings, Window(CDNOW_ENDS - timedelta(days=1), CDNOW_ENDS, known_at), rules)
    assert found.summary.startswith("14 cohorts: 14 measured")
    measured = pd.DataFrame([(row.version, row.metric, row.value) for row in found.metrics], columns=["v", "m", "x"])
    return pd.DataFrame(offline).T.join(measured.pivot_table(index="v", columns="m", values="x")).set_index("name")


def _register_versions(settings: Settings, registry: Registry, known_at: datetime) -> Iterator[tuple[str, str, float]]:
    """Yield name, number and test ROC-AUC of each version; the test period ends before the first scores."""
    cutoffs = find_labeled_cutoffs(settings, TRAINED, known_at, 30).used
    split = split_by_time(cutoffs, settings.horizon_days, 2, 5, 2)
    applied = applied_version(open_store())
    rows = build_training_set(settings, applied, split.cutoffs, TRAINED, known_at)
    development, test = rows.at_cutoffs(split.development), rows.at_cutoffs(split.test)
    definitions = fingerprint(open_store(definitions=applied), current_label(settings))
    recipe = Recipe(
        family="logistic",
        params=FAMILIES["logistic"].defaults,
        calibration="sigmoid",
        seed=0,
        threshold=optimal_threshold(ValueSettings()),
        folds=split.folds,
        development=split.development,
        test=split.test,
        digests={},
    )
    for name, inputs in VERSIONS.items():
        zeroed = [inputs is not None and item.name not in inputs for item in rows.inputs]
        model = fit_recipe(recipe, replace(rows, x=np.where(zeroed, 0.0, rows.x)))
        content = serialize_model(model)
        digest = hashlib.sha256(content).hexdigest()
        contract = build_contract(settings, recipe, development, definitions, model, digest)
        version = registry.register(content, contract.model_dump_json())
        registry.client.set_model_version_tag(MODEL_NAME, version, "holdfast.as_of", TRAINED.isoformat())
        yield name, version, float(roc_auc_score(test.y, predict_churn(model, test.x)))


@pytest.mark.long
@pytest.mark.timeout(600)  # includes the main job when no other test has run it
@pytest.mark.parametrize(("online", "at_least"), [("roc_auc", 0.9), ("earned", 0.8)])
def test_offline_roc_auc_correlates_with_online_metric(
    performances: pd.DataFrame, online: str, at_least: float
) -> None:
    """Profit depends on the level of the probabilities too, which the ROC-AUC does not measure."""
    offline, measured = performances["offline"].astype(float), performances[online].astype(float)
    assert spearmanr(offline, measured).statistic > 0.8
    assert pearsonr(offline, measured).statistic > at_least
    assert pearsonr(offline, measured).pvalue < 0.05


def test_profit_of_score_deciles_matches_the_expected_profit(champion: Champion) -> None:
    """The expected profit follows from the probabilities, the actual profit from the labels."""
    rows, rules = champion.tested, ValueSettings()
    saved_value = rules.response_rate * rules.kept_customer
    frame = pd.DataFrame(
        {
            "month": rows["cutoff"],
            "decile": rows.groupby("cutoff")["model"].transform(lambda scores: pd.qcut(scores, 10, labels=False)),
            "expected": rows["model"] * saved_value - rules.offer_cost,
            "earned": profit_per_row(rows["churned"].to_numpy(), np.ones(len(rows)), 0.0, rules),
        }
    )
    by_decile = frame.groupby(["month", "decile"]).mean()
    for month, deciles in by_decile.groupby("month"):
        assert pearsonr(deciles["expected"], deciles["earned"]).statistic > 0.95, month
