"""Tests of the importance of the champion's inputs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from feature_repo.transformations import BUILDERS
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.training.bootstrap import CustomerBootstrap, percentile_interval, roc_auc_draws
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Evaluation, Interval
from tests.support.main_job import MainJob
from tests.support.main_job_champion import Champion
from tests.support.small_shop import use_data_folder

# Shuffling one of several correlated inputs can raise the ROC-AUC slightly by chance.
MAX_HARM = 0.002
REQUEST_TIME_VIEW = "customer_request_time"


@pytest.fixture(scope="module")
def evaluation(main_job: MainJob) -> Evaluation:
    """The evaluation of the champion on its test period."""
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.run_artifacts import read_file

    with use_data_folder(main_job.data) as settings:
        client = open_tracking(settings)
        run_id = str(client.get_model_version_by_alias(MODEL_NAME, CHAMPION).run_id)
        return Evaluation.model_validate_json(read_file(client, run_id, "evaluation.json"))


@pytest.fixture(scope="module")
def by_view(main_job: MainJob, champion: Champion) -> dict[str, Interval]:
    """View to the ROC-AUC lost when its inputs are shuffled on the test rows."""
    from holdfast.model_versions.candidate import ModelCandidate
    from holdfast.training.mlflow_client import open_tracking

    with use_data_folder(main_job.data) as settings:
        candidate = ModelCandidate(open_tracking(settings), main_job.summary["champion"])
        rows = candidate.test_rows(settings)
    columns: dict[str, list[int]] = {}
    for number, item in enumerate(rows.inputs):
        columns.setdefault(item.view, []).append(number)
    return {view: _permutation_drop(rows, numbers, champion.score) for view, numbers in columns.items()}


def test_importance_exists_for_each_input(evaluation: Evaluation, champion: Champion) -> None:
    assert {item.feature for item in evaluation.importance} == {item.name for item in champion.inputs}


def test_importance_no_input_is_harmful(evaluation: Evaluation) -> None:
    assert [item.feature for item in evaluation.importance if item.drop.value < -MAX_HARM] == []


def test_importance_no_view_is_harmful_and_each_stored_view_is_significant(
    by_view: dict[str, Interval], champion: Champion
) -> None:
    """Inputs of one view are correlated, so that a single input can have no significant importance."""
    assert by_view.keys() == {item.view for item in champion.inputs} == {*BUILDERS, REQUEST_TIME_VIEW}
    assert [view for view, drop in by_view.items() if drop.value < -MAX_HARM] == []
    assert {view for view, drop in by_view.items() if drop.low > 0} >= BUILDERS.keys()


def _permutation_drop(rows: TrainingSet, columns: list[int], score: Any, repeats: int = 3) -> Interval:
    """Compute the ROC-AUC lost when inputs are shuffled together within their cut-offs."""
    rng, x = np.random.default_rng(0), rows.x.copy()
    cutoffs = pd.factorize(rows.keys["cutoff"])[0]
    positions = np.argsort(cutoffs, kind="stable")
    resamples = CustomerBootstrap(rows.keys["customer_id"].to_numpy(), 200, 0)

    def roc_auc() -> np.ndarray:
        scores = score(x)
        return np.r_[roc_auc_score(rows.y, scores), roc_auc_draws(rows.y, scores, resamples)]

    before, drops = roc_auc(), []
    for _ in range(repeats):
        x[np.ix_(positions, columns)] = rows.x[np.ix_(np.lexsort((rng.random(len(x)), cutoffs)), columns)]
        drops.append(before - roc_auc())
    drop = np.mean(drops, axis=0)
    return percentile_interval(drop[0], drop[1:])
