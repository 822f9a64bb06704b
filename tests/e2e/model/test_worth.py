"""Whether what training measures goes with what acting on the scores earns."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score

from feature_repo.settings import Settings
from holdfast.batch_scoring.champion_model import load_champion
from holdfast.batch_scoring.scoring_run import score_customers
from holdfast.feast_stores.open_store import open_store
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.models.fingerprint import fingerprint
from holdfast.monitoring.performance.view import run_outcome_view
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from holdfast.training.contract_builder import build_contract
from holdfast.training.dataset import build_training_set, list_labeled_cutoffs
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.model_families import FAMILIES
from holdfast.training.profit import optimal_threshold, profit_per_row
from holdfast.training.recipe import Recipe
from holdfast.training.settings import ValueSettings
from holdfast.training.time_split import split_by_time
from tests.e2e.model.conftest import Champion
from tests.support.main_job import MainJob
from tests.support.registry import Registry, make_registry, serialize_model
from tests.support.small_shop import use_data_folder

# Inputs that a version learned from; of the rest it saw zeros. The first is as the champion is made.
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
def worth(main_job: MainJob, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Version to its ROC-AUC when it was tested, "offline", and what monitoring measured of its scores months later.

    Versions of graded quality are trained as of 1998-01-01 and registered; each is champion for a while and scores
    everybody, as ``flows.score`` does. The outcome view measures those cohorts when they are whole.
    """
    folder = tmp_path_factory.mktemp("worth")
    data, registry = folder / "data", make_registry(folder / "mlflow")
    shutil.copytree(main_job.data, data, ignore=shutil.ignore_patterns("mlflow", "bentoml", "prefect", "scores"))
    known_at = datetime.now(UTC)
    with use_data_folder(data, MLFLOW_TRACKING_URI=registry.uri, HOLDFAST_CLOCK=CDNOW_ENDS.isoformat()) as settings:
        offline = {}
        for name, version, roc_auc in _registered(settings, registry, known_at):
            offline[version] = {"name": name, "offline": roc_auc}
            registry.set_alias(CHAMPION, version)
            served = load_champion(settings)
            for moment in SERVED:
                score_customers(settings, served, moment, known_at)
        rules = MonitorSettings.model_validate({"outcome": {"resamples": 50}})
        found = run_outcome_view(settings, Window.ending_at(CDNOW_ENDS, 1, known_at), rules)
    assert found.summary.startswith("14 cohorts: 14 measured")
    measured = pd.DataFrame([(row.version, row.metric, row.value) for row in found.metrics], columns=["v", "m", "x"])
    return pd.DataFrame(offline).T.join(measured.pivot_table(index="v", columns="m", values="x")).set_index("name")


def _registered(settings: Settings, registry: Registry, known_at: datetime) -> Iterator[tuple[str, str, float]]:
    """Name, number and ROC-AUC on the test rows of each version; the test ends before anything is served."""
    cutoffs = list_labeled_cutoffs(settings, TRAINED, known_at, 30)
    split = split_by_time(cutoffs, settings.horizon_days, 2, 5, 2)
    rows = build_training_set(settings, split.cutoffs, TRAINED, known_at)
    development, test = rows.at_cutoffs(split.development), rows.at_cutoffs(split.test)
    definitions = fingerprint(open_store(), settings.horizon_days, settings.activity_days)
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
    for name, kept in VERSIONS.items():
        unseen = [kept is not None and item.name not in kept for item in rows.inputs]
        model = fit_recipe(recipe, replace(rows, x=np.where(unseen, 0.0, rows.x)))
        content = serialize_model(model)
        digest = hashlib.sha256(content).hexdigest()
        contract = build_contract(settings, recipe, development, definitions, model, digest)
        version = registry.register(content, contract.model_dump_json())
        registry.client.set_model_version_tag(MODEL_NAME, version, "holdfast.as_of", TRAINED.isoformat())
        yield name, version, float(roc_auc_score(test.y, predict_churn(model, test.x)))


@pytest.mark.long
@pytest.mark.timeout(600)  # with the main job, where nobody has made it yet
@pytest.mark.parametrize("online", ["roc_auc", "earned"])
def test_who_was_better_when_tested_ranks_better_and_earns_more_when_it_serves(
    worth: pd.DataFrame, online: str
) -> None:
    offline, measured = worth["offline"].astype(float), worth[online].astype(float)
    assert spearmanr(offline, measured).statistic > 0.8
    assert pearsonr(offline, measured).statistic > 0.9


def test_in_each_month_groups_of_customers_earn_as_expected(champion: Champion) -> None:
    """Tenths of the customers by score: the money that the probabilities promise, beside what offers to them earned."""
    rows, rules = champion.tested, ValueSettings()
    kept = rules.response_rate * rules.kept_customer
    frame = pd.DataFrame(
        {
            "month": rows["cutoff"],
            "tenth": rows.groupby("cutoff")["model"].transform(lambda scores: pd.qcut(scores, 10, labels=False)),
            "expected": rows["model"] * kept - rules.offer_cost,
            "earned": profit_per_row(rows["churned"].to_numpy(), np.ones(len(rows)), 0.0, rules),
        }
    )
    by_tenth = frame.groupby(["month", "tenth"]).mean()
    for month, tenths in by_tenth.groupby("month"):
        assert pearsonr(tenths["expected"], tenths["earned"]).statistic > 0.95, month
