"""Train: label, join, search, choose, test, register, judge. `python -m flows.train --as-of 1998-03-01`"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from prefect import flow
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from feature_repo.settings import Settings, load_settings
from flows import configure
from flows._tasks import run_name, run_time, task
from flows.features import snapshots_task
from flows.gates import GatesResult, gates
from holdfast.core.formatting import png_data_url, render_png
from holdfast.feature_store.materialization import features_lock
from holdfast.ingestion.as_of import resolve_as_of, resolve_known_at
from holdfast.models.contract import MODEL_NAME
from holdfast.models.fingerprint import fingerprint
from holdfast.promotion.gates import GateSettings
from holdfast.runtime.progress import report_progress
from holdfast.training.evaluation_report import METRIC_LABELS, Evaluation
from holdfast.training.settings import TrainingSettings

if TYPE_CHECKING:
    from uuid import UUID

    from matplotlib.figure import Figure

    from holdfast.training.dataset import TrainingSet
    from holdfast.training.hyperparameter_search import SearchTrial
    from holdfast.training.lineage import Lineage
    from holdfast.training.mlflow_tracking import TrainedVersion
    from holdfast.training.model_selection import ModelChoice
    from holdfast.training.time_split import TimeSplit


@dataclass(frozen=True)
class TrainResult:
    """A registered version, what it scored on the test period, and whether it passed its gates."""

    model_name: str
    model_version: str
    run_id: str
    trained: bool
    """False when the same data, definitions and settings had given this version before."""
    training_rows: int
    evaluation: Evaluation
    gates: GatesResult


@dataclass(frozen=True)
class Tested:
    """What was registered, and how its test went."""

    registered: "TrainedVersion"
    evaluation: Evaluation
    pictures: "dict[str, Figure]"


@task(name="definitions are applied")
def applied_task(settings: Settings) -> None:
    """Train only on what the registry, and so serving, knows."""
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.feast_registry import require_applied

    with features_lock(settings):
        require_applied(open_store())


@task(name="lineage")
def lineage_task(settings: Settings, training: TrainingSettings, as_of: datetime, known_at: datetime) -> "Lineage":
    """What this training depends on."""
    from holdfast.feast_stores.open_store import open_store
    from holdfast.training.lineage import build_lineage

    definition = fingerprint(open_store(), settings.horizon_days, settings.activity_days)
    return build_lineage(settings, training, definition, as_of, known_at)


@task(name="find an earlier result")
def find_task(settings: Settings, lineage: "Lineage") -> "TrainedVersion | None":
    """The version that an earlier training of the same data, definitions and settings gave."""
    from holdfast.training.mlflow_tracking import close_orphaned_runs, find_trained_version, open_tracking

    client = open_tracking(settings)
    close_orphaned_runs(client, settings)
    return find_trained_version(client, lineage)


@task(name="training set")
def assemble_task(settings: Settings, cutoffs: list[datetime], as_of: datetime, known_at: datetime) -> "TrainingSet":
    """Labels joined with the features as they were at each cut-off."""
    from holdfast.training.dataset import assemble_training_set

    return assemble_training_set(settings, cutoffs, as_of, known_at)


@task(name="search")
def search_task(
    settings: Settings,
    training: TrainingSettings,
    lineage: "Lineage",
    data: "TrainingSet",
    split: "TimeSplit",
    run_id: str,
) -> "list[SearchTrial]":
    """The best trial of each family; every trial is a child run. A killed search goes on where it was."""
    from holdfast.training.hyperparameter_search import open_search_storage, search_families, select_best_trials
    from holdfast.training.mlflow_tracking import TrialLog, open_tracking
    from holdfast.training.model_families import FAMILIES

    if not split.folds:
        return []
    log, planned = TrialLog(open_tracking(settings), run_id), training.search.trials * len(FAMILIES)
    artifact = cast("UUID", create_progress_artifact(0.0, key="search", description=f"{planned} trials"))
    trials = []
    with open_search_storage(settings, lineage.key) as storage:
        for trial in search_families(data, split.folds, training.search, training.seed, storage):
            log.log(trial)
            trials.append(trial)
            best = max(item.roc_auc for item in trials if item.roc_auc is not None)
            report_progress(f"searching, trial {len(trials)} of {planned}, best ROC-AUC on the folds {best:.4f}")
            update_progress_artifact(artifact, 100 * len(trials) / planned)
    create_table_artifact(
        [
            {
                "trial": trial.name,
                "ROC-AUC on the folds": "pruned" if trial.roc_auc is None else round(trial.roc_auc, 4),
                "seconds": round(trial.seconds, 1),
            }
            for trial in sorted(trials, key=lambda trial: trial.roc_auc or 0, reverse=True)
        ],
        key="trials",
        description=f"{len(trials)} of {planned} trials on {len(split.folds)} folds",
    )
    return select_best_trials(trials)


@task(name="choose on the folds")
def choose_task(
    settings: Settings, training: TrainingSettings, best: "list[SearchTrial]", data: "TrainingSet", split: "TimeSplit"
) -> "ModelChoice":
    """The simplest family that is not beaten by more than noise, its calibration and its threshold."""
    from holdfast.training.model_selection import choose_model

    report_progress("comparing the families and the calibrations")
    return choose_model(best, data, split, training, settings.horizon_days)


@task(name="test and register")
def test_and_register_task(
    settings: Settings,
    training: TrainingSettings,
    lineage: "Lineage",
    choice: "ModelChoice",
    data: "TrainingSet",
    run_id: str,
) -> Tested:
    """Fit the choice, test it once beside the baselines, and register it."""
    import mlflow

    from holdfast.training import mlflow_tracking, plots
    from holdfast.training.baselines import score_baselines
    from holdfast.training.contract_builder import build_contract
    from holdfast.training.dataset import read_purchase_history
    from holdfast.training.evaluation import evaluate_model, veto_on_test
    from holdfast.training.fitting import fit_recipe, predict_churn

    report_progress("fitting the choice and testing it")
    choice, model = veto_on_test(choice, fit_recipe(choice.recipe, data), data, training, settings.horizon_days)
    recipe = choice.recipe
    development, test = data.at_cutoffs(recipe.development), data.at_cutoffs(recipe.test)
    everybody = read_purchase_history(settings, recipe.development[-1], lineage.known_at)
    baselines = score_baselines(development, everybody, test, settings.horizon_days)
    scores = {"model": predict_churn(model, test.x), **baselines}
    evaluation = evaluate_model(model, scores, development, test, choice, training)
    pictures = {
        "test_curves": plots.plot_roc_and_pr(test.y, scores),
        "test_months": plots.plot_months(evaluation.months),
        "reliability": plots.plot_reliability(test, scores["model"], evaluation.months),
        "profit": plots.plot_profit(test.y, scores["model"], training.value, evaluation.value),
        "importance": plots.plot_importance(evaluation.importance),
    }
    mlflow_tracking.log_dataset(development, "development", recipe.digests["development"])
    mlflow_tracking.log_dataset(test, "test", recipe.digests["test"])
    mlflow.log_metrics({"training_rows": len(development.y), "test_rows": len(test.y)})
    mlflow_tracking.log_evaluation(recipe, evaluation)
    mlflow_tracking.log_predictions(test, scores)
    mlflow_tracking.log_plots(pictures)
    client, logged = mlflow_tracking.open_tracking(settings), mlflow_tracking.log_model(model, development)
    registered = mlflow_tracking.register_version(
        client,
        logged,
        run_id,
        build_contract(
            settings,
            recipe,
            development,
            lineage.fingerprint,
            model,
            mlflow_tracking.compute_logged_sha256(client, logged),
        ),
        lineage,
        f"{evaluation.chosen}; test period ROC-AUC {evaluation.metrics['model']['roc_auc']}. {evaluation.reason}",
    )
    return Tested(registered, evaluation, pictures)


@task(name="report")
def report_task(tested: Tested, lineage: "Lineage") -> None:
    """Leave the test beside the flow run. The MLflow run has ended by then: nothing that fails here can spoil it."""
    registered, evaluation = tested.registered, tested.evaluation
    create_table_artifact(
        [
            {"model": name} | {METRIC_LABELS[metric]: str(value) for metric, value in values.items()}
            for name, values in evaluation.metrics.items()
        ],
        key="test-period",
        description=f"{evaluation.rows:,} rows at {len(evaluation.cutoffs)} cut-offs from "
        f"{evaluation.cutoffs[0]:%Y-%m-%d}, with 95% intervals over customers",
    )
    create_table_artifact(
        [
            {"cut-off": f"{month.cutoff:%Y-%m}", "rows": month.rows, "churned": f"{month.base_rate:.1%}",
             "predicted": f"{month.mean_score:.1%}"}
            | {METRIC_LABELS[metric]: str(value) for metric, value in month.metrics.items()}
            for month in evaluation.months
        ],
        key="test-by-month",
        description="The test period by month",
    )  # fmt: skip
    for name, picture in tested.pictures.items():
        create_image_artifact(
            png_data_url(render_png(picture)), key=name.replace("_", "-"), description=f"{MODEL_NAME}: {name}"
        )
    create_markdown_artifact(
        f"**{MODEL_NAME} version {registered.version}**: {evaluation.chosen}. {evaluation.reason}\n\n"
        f"Calibration: {evaluation.calibration}. {evaluation.calibration_reason}\n\n"
        f"MLflow run `{registered.run_id}`. Known at {lineage.known_at:%Y-%m-%d %H:%M} UTC, "
        f"{len(lineage.batches)} batch(es).",
        key="registered-model",
        description="What was registered",
    )


@flow(name="train", flow_run_name=run_name, persist_result=False)
def train(
    as_of: datetime | None = None,
    known_at: datetime | None = None,
    training: TrainingSettings | None = None,
    thresholds: GateSettings | None = None,
) -> TrainResult:
    """Train on what was known, test on the latest closed months, register the result, judge it by its gates.

    Args:
        as_of: Outcomes up to this moment may be used; now when left out.
        known_at: Use only data that had arrived by then; everything when left out.
        training: Cut-offs, search, value, slices, seed.
        thresholds: What the gates ask of it.
    """
    from holdfast.training.mlflow_tracking import training_lock

    settings, training = configure(), training or TrainingSettings()
    moment, known = resolve_as_of(as_of, settings, run_time()), resolve_known_at(known_at)
    applied_task(settings)
    lineage = lineage_task(settings, training, moment, known)
    with training_lock(settings):
        found = find_task(settings, lineage)
        registered = found or _train(settings, training, lineage)
    judged = gates(registered.version, thresholds)
    return _result(settings, registered, judged, trained=found is None)


def _train(settings: Settings, training: TrainingSettings, lineage: "Lineage") -> "TrainedVersion":
    from holdfast.training.dataset import list_labeled_cutoffs
    from holdfast.training.evaluation import require_slice_inputs
    from holdfast.training.mlflow_tracking import open_tracking, training_run
    from holdfast.training.model_selection import drop_single_class_folds
    from holdfast.training.time_split import split_by_time

    as_of, known_at = lineage.as_of, lineage.known_at
    cutoffs = list_labeled_cutoffs(settings, as_of, known_at, training.min_history_days)[-training.max_cutoffs :]
    split = split_by_time(
        cutoffs, settings.horizon_days, training.test_cutoffs, training.folds, training.min_fit_cutoffs
    )
    report_progress(f"building the features of {len(split.cutoffs)} cut-offs")
    for cutoff in split.cutoffs:
        snapshots_task(settings, cutoff, known_at)
    data = assemble_task(settings, split.cutoffs, as_of, known_at)
    split = drop_single_class_folds(split, data)
    require_slice_inputs(training.slices, [feature.name for feature in data.inputs])
    with training_run(open_tracking(settings), settings, lineage) as run_id:
        best = search_task(settings, training, lineage, data, split, run_id)
        choice = choose_task(settings, training, best, data, split)
        tested = test_and_register_task(settings, training, lineage, choice, data, run_id)
    report_task(tested, lineage)
    return tested.registered


def _result(settings: Settings, registered: "TrainedVersion", judged: GatesResult, trained: bool) -> TrainResult:
    """Read the result from the run, so that a new training and a found one report alike."""
    from holdfast.training.mlflow_tracking import open_tracking, read_evaluation

    client = open_tracking(settings)
    return TrainResult(
        model_name=MODEL_NAME,
        model_version=registered.version,
        run_id=registered.run_id,
        trained=trained,
        training_rows=int(client.get_run(registered.run_id).data.metrics["training_rows"]),
        evaluation=read_evaluation(client, registered.run_id),
        gates=judged,
    )


def _show(result: TrainResult) -> None:
    from rich.console import Console

    from holdfast.model_versions.aliases import get_champion_version, open_registry
    from holdfast.training.summary import summarize_training

    judged, version = result.gates, result.model_version
    failed = [gate.name for gate in judged.failed]
    champion = get_champion_version(open_registry(load_settings())) == version
    text = summarize_training(version, result.trained, result.evaluation, failed, judged.challenger, champion)
    Console(highlight=False, soft_wrap=True).print(text, markup=False)


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(train, show=_show)
