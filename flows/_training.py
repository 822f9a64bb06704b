"""Tasks of the training flow."""

from datetime import datetime
from typing import TYPE_CHECKING, cast

from prefect import artifacts, get_run_logger

from feature_repo.settings import Settings
from flows._artifacts import publish_markdown, publish_plot, publish_table
from flows._tasks import task
from holdfast.core.formatting import format_count
from holdfast.core.plot_style import render_png
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import explain_retirement, open_version
from holdfast.models.declaration import load_declaration, registered_name
from holdfast.models.fingerprint import fingerprint
from holdfast.models.label import SETTINGS_LABEL
from holdfast.reporting.artifact_tables import evaluation_rows, month_rows, trial_rows
from holdfast.runtime.progress import report_progress
from holdfast.training.dataset import TrainingSet, assemble_training_set
from holdfast.training.label_query import declared_label
from holdfast.training.lineage import Lineage, build_lineage
from holdfast.training.recipe import BASE_RATE
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import TimeSplit

if TYPE_CHECKING:
    from uuid import UUID

    from holdfast.training.hyperparameter_search import SearchTrial
    from holdfast.training.mlflow_tracking import TrainedVersion
    from holdfast.training.model_selection import ModelChoice
    from holdfast.training.registration import EvaluatedVersion


@task(name="find definitions")
def find_definitions_task(settings: Settings, definitions: str | None) -> str:
    """Find the version of the feature definitions to train on, by default that of this checkout."""
    from holdfast.feature_store.feast_registry import find_applied_version
    from holdfast.feature_store.materialization import features_lock

    with features_lock(settings):
        if definitions is None:
            return find_applied_version(settings, open_store())
        open_version(settings, definitions)
        return definitions


@task(name="lineage")
def collect_lineage_task(
    settings: Settings, model: str, training: TrainingSettings, definitions: str, as_of: datetime, known_at: datetime
) -> Lineage:
    """Collect what the training depends on: batches, definitions, settings, code."""
    parts = fingerprint(open_version(settings, definitions), declared_label(settings, load_declaration(model).label))
    return build_lineage(settings, training, parts, as_of, known_at, model)


@task(name="find trained version")
def find_trained_version_task(settings: Settings, lineage: Lineage) -> "TrainedVersion | None":
    """Find the version that an earlier training with the same lineage registered."""
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import close_orphaned_runs, find_trained_version

    client = open_tracking(settings, registered_name(lineage.model))
    close_orphaned_runs(client, settings)
    return find_trained_version(client, lineage)


@task(name="training set")
def assemble_training_set_task(
    settings: Settings,
    model: str,
    definitions: str,
    cutoffs: list[datetime],
    as_of: datetime,
    known_at: datetime,
) -> TrainingSet:
    """Join the labels of each cut-off with its point-in-time features."""
    label = load_declaration(model).label
    declared = None if label == SETTINGS_LABEL else declared_label(settings, label)
    with explain_retirement(settings, definitions):
        return assemble_training_set(settings, definitions, cutoffs, as_of, known_at, declared)


@task(name="search")
def search_task(
    settings: Settings,
    training: TrainingSettings,
    lineage: Lineage,
    data: TrainingSet,
    split: TimeSplit,
    run_id: str,
) -> "list[SearchTrial]":
    """Find the best trial of each family; each trial is a child run. A killed search resumes."""
    from holdfast.training.hyperparameter_search import (
        describe_bounds,
        open_search_storage,
        search_families,
        select_best_trials,
    )
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import TrialLog
    from holdfast.training.model_families import list_families

    if not split.folds or training.family == BASE_RATE:
        return []
    log = TrialLog(open_tracking(settings, registered_name(lineage.model)), run_id)
    planned = sum(family.planned_trials(training.search.trials) for family in list_families(data, training.candidates))
    progress = cast(
        "UUID", artifacts.create_progress_artifact(0.0, key="search", description=format_count(planned, "trial"))
    )
    trials = []
    with open_search_storage(settings, lineage.key) as storage:
        for trial in search_families(data, split.folds, training.search, training.seed, storage, training.candidates):
            log.log(trial)
            trials.append(trial)
            lowest = min(item.log_loss for item in trials if item.log_loss is not None)
            report_progress(f"searching, trial {len(trials)} of {planned}, lowest log loss on the folds {lowest:.4f}")
            artifacts.update_progress_artifact(progress, 100 * len(trials) / planned)
    description = f"{len(trials)} of {format_count(planned, 'trial')} on {format_count(len(split.folds), 'fold')}"
    publish_table(trial_rows(trials), key="trials", description=description)
    best = select_best_trials(trials)
    for note in describe_bounds(best):
        get_run_logger().warning(note)
    return best


@task(name="choose on the folds")
def choose_model_task(
    settings: Settings, training: TrainingSettings, best: "list[SearchTrial]", data: TrainingSet, split: TimeSplit
) -> "ModelChoice":
    """Choose the simplest family that no other significantly outperforms; then its calibration and threshold."""
    from holdfast.training.model_selection import choose_model

    report_progress("comparing the families and the calibrations")
    return choose_model(best, data, split, training, data.terms.outcome_days)


@task(name="test and register")
def test_and_register_task(
    settings: Settings,
    training: TrainingSettings,
    lineage: Lineage,
    choice: "ModelChoice",
    data: TrainingSet,
    run_id: str,
) -> "EvaluatedVersion":
    """Fit the chosen model, evaluate it once on the test period beside the baselines, and register it."""
    from holdfast.training.registration import evaluate_and_register

    report_progress("fitting and testing the chosen model")
    return evaluate_and_register(settings, training, lineage, choice, data, run_id)


@task(name="publish report")
def publish_evaluation_task(tested: "EvaluatedVersion", lineage: Lineage) -> None:
    """Publish the evaluation in the Prefect UI; the MLflow run has ended, so a failure here does not affect it."""
    evaluation = tested.evaluation
    description = (
        f"{format_count(evaluation.rows, 'row')} at {format_count(len(evaluation.cutoffs), 'cut-off')} from "
        f"{evaluation.cutoffs[0]:%Y-%m-%d}, with 95% intervals over customers"
    )
    publish_table(evaluation_rows(evaluation), key="test-period", description=description)
    publish_table(month_rows(evaluation), key="test-by-month", description="Test period by month")
    for name, plot in tested.plots.items():
        publish_plot(render_png(plot), name.replace("_", "-"), f"{registered_name(lineage.model)}: {name}")
    text = tested.markdown(lineage)
    publish_markdown(text, key="registered-model", description="Registered version")
