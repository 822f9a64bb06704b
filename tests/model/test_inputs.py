"""What each input of the champion brings, and what it may not cost."""

import pytest

from feature_repo.model_contract import CHAMPION, MODEL_NAME
from flows.training.evaluation import Evaluation
from tests.conftest import MainJob
from tests.flows.small_shop import at_work_on
from tests.model.conftest import Champion

# Shuffling one of several inputs that tell the same story can raise the ROC-AUC a little by chance.
HARM = 0.002


@pytest.fixture(scope="module")
def evaluation(main_job: MainJob) -> Evaluation:
    """What the champion's training found on its test period."""
    from flows.run_files import read_file
    from flows.training.tracking import open_mlflow

    with at_work_on(main_job.data) as settings:
        client = open_mlflow(settings)
        run_id = str(client.get_model_version_by_alias(MODEL_NAME, CHAMPION).run_id)
        return Evaluation.model_validate_json(read_file(client, run_id, "evaluation.json"))


def test_what_each_input_brings_is_known(evaluation: Evaluation, champion: Champion) -> None:
    assert {item.feature for item in evaluation.importance} == {item.name for item in champion.inputs}


def test_no_input_does_harm(evaluation: Evaluation) -> None:
    assert [item.feature for item in evaluation.importance if item.drop.value < -HARM] == []


def test_every_view_that_is_read_from_the_store_surely_brings_something(
    evaluation: Evaluation, champion: Champion
) -> None:
    view_of = {item.name: item.view for item in champion.inputs}
    useful = {view_of[item.feature] for item in evaluation.importance if item.drop.low > 0}
    assert set(view_of.values()) - {"customer_request_time"} <= useful
