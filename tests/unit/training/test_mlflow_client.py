"""MLflow's client on the embedded database."""

from pathlib import Path
from typing import Any

from holdfast.training.mlflow_client import EXPERIMENT, open_tracking
from tests.support.small_shop import use_data_folder


def test_open_tracking_second_call_same_experiment(tmp_path: Path) -> None:
    with use_data_folder(tmp_path) as settings:
        open_tracking(settings)
        again = open_tracking(settings)
    assert [item.name for item in again.search_experiments()].count(EXPERIMENT) == 1
    experiment: Any = again.get_experiment_by_name(EXPERIMENT)
    assert experiment.artifact_location == (settings.data / "mlflow" / "artifacts").as_uri()
