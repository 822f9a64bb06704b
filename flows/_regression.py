"""Training of a regression, from its training set to the registered version."""

from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from flows._artifacts import publish_table
from flows._tasks import task
from holdfast.models.declaration import registered_name
from holdfast.reporting.artifact_tables import regression_rows
from holdfast.runtime.progress import report_progress
from holdfast.training.dataset import TrainingSet
from holdfast.training.lineage import Lineage
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import TimeSplit

if TYPE_CHECKING:
    from holdfast.training.mlflow_tracking import TrainedVersion
    from holdfast.training.regression.selection import RegressionChoice


@task(name="choose a regression")
def choose_regression_task(training: TrainingSettings, data: TrainingSet, split: TimeSplit) -> "RegressionChoice":
    """Choose the simplest family that no other significantly outperforms on the folds."""
    from holdfast.training.regression.selection import choose_regression

    report_progress("comparing the families on the folds")
    return choose_regression(data, split, training)


@task(name="test and register a regression")
def register_regression_task(
    settings: Settings,
    training: TrainingSettings,
    lineage: Lineage,
    choice: "RegressionChoice",
    data: TrainingSet,
    run_id: str,
) -> "TrainedVersion":
    """Fit the chosen model, evaluate it once on the test period beside the baselines, and register it."""
    from holdfast.training.regression.registration import evaluate_and_register_regression

    report_progress("fitting and testing the chosen model")
    registered, evaluation = evaluate_and_register_regression(settings, training, lineage, choice, data, run_id)
    description = f"{lineage.model}: {evaluation.headline()}"
    publish_table(regression_rows(evaluation), key="test-period", description=description)
    return registered


def train_regression(
    settings: Settings, training: TrainingSettings, lineage: Lineage, data: TrainingSet, split: TimeSplit
) -> "TrainedVersion":
    """Choose, test and register a regression in one MLflow run.

    Args:
        settings: Data folder and definition of the label.
        training: Candidates, slices and seed.
        lineage: What the training depends on.
        data: Labels and features at all cut-offs.
        split: Cut-offs by use.

    Returns:
        The registered version.
    """
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import training_run

    with training_run(open_tracking(settings, registered_name(lineage.model)), settings, lineage) as run_id:
        choice = choose_regression_task(training, data, split)
        return register_regression_task(settings, training, lineage, choice, data, run_id)
