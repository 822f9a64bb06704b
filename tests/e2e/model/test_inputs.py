"""What each input of the champion brings, and what it may not cost."""

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
from tests.e2e.model.conftest import Champion
from tests.support.main_job import MainJob
from tests.support.small_shop import use_data_folder

# Shuffling one of several inputs that tell the same story can raise the ROC-AUC a little by chance.
HARM = 0.002
REQUEST_TIME_VIEW = "customer_request_time"


@pytest.fixture(scope="module")
def evaluation(main_job: MainJob) -> Evaluation:
    """What the champion's training found on its test period."""
    from holdfast.runtime.run_artifacts import read_file
    from holdfast.training.mlflow_tracking import open_tracking

    with use_data_folder(main_job.data) as settings:
        client = open_tracking(settings)
        run_id = str(client.get_model_version_by_alias(MODEL_NAME, CHAMPION).run_id)
        return Evaluation.model_validate_json(read_file(client, run_id, "evaluation.json"))


@pytest.fixture(scope="module")
def by_view(main_job: MainJob, champion: Champion) -> dict[str, Interval]:
    """What each view brings the champion on its test rows."""
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.parity import input_definitions
    from holdfast.model_versions.candidate import ModelCandidate
    from holdfast.training.mlflow_tracking import open_tracking

    with use_data_folder(main_job.data) as settings:
        subject = ModelCandidate(open_tracking(settings), main_job.summary["champion"])
        rows = subject.test_rows(settings, input_definitions(open_store(), settings))
    columns: dict[str, list[int]] = {}
    for number, item in enumerate(rows.inputs):
        columns.setdefault(item.view, []).append(number)
    return {view: _drop_of(rows, numbers, champion.score) for view, numbers in columns.items()}


def test_what_each_input_brings_is_known(evaluation: Evaluation, champion: Champion) -> None:
    assert {item.feature for item in evaluation.importance} == {item.name for item in champion.inputs}


def test_no_input_does_harm(evaluation: Evaluation) -> None:
    assert [item.feature for item in evaluation.importance if item.drop.value < -HARM] == []


def test_no_view_does_harm_and_every_stored_one_surely_brings_something(
    by_view: dict[str, Interval], champion: Champion
) -> None:
    """As a whole: the inputs of one view tell the same story, so that alone each can seem to bring nothing."""
    assert by_view.keys() == {item.view for item in champion.inputs} == {*BUILDERS, REQUEST_TIME_VIEW}
    assert [view for view, drop in by_view.items() if drop.value < -HARM] == []
    assert {view for view, drop in by_view.items() if drop.low > 0} >= BUILDERS.keys()


def _drop_of(rows: TrainingSet, columns: list[int], score: Any, repeats: int = 3) -> Interval:
    """ROC-AUC lost when some inputs are shuffled together within their cut-offs, as in permutation_importance."""
    rng, x = np.random.default_rng(0), rows.x.copy()
    cutoffs = pd.factorize(rows.keys["cutoff"])[0]
    places = np.argsort(cutoffs, kind="stable")
    resamples = CustomerBootstrap(rows.keys["customer_id"].to_numpy(), 200, 0)

    def roc_auc() -> np.ndarray:
        scores = score(x)
        return np.r_[roc_auc_score(rows.y, scores), roc_auc_draws(rows.y, scores, resamples)]

    before, drops = roc_auc(), []
    for _ in range(repeats):
        x[np.ix_(places, columns)] = rows.x[np.ix_(np.lexsort((rng.random(len(x)), cutoffs)), columns)]
        drops.append(before - roc_auc())
    drop = np.mean(drops, axis=0)
    return percentile_interval(drop[0], drop[1:])
