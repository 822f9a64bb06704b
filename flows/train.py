"""Train: features, search, choice, test, registration and gates of a model. `python -m flows.train`."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._cli import run_flow
from flows._regression import train_regression
from flows._tasks import run_name, run_time
from flows._train_result import build_result
from flows._training import (
    assemble_training_set_task,
    choose_model_task,
    collect_lineage_task,
    find_definitions_task,
    find_trained_version_task,
    publish_evaluation_task,
    search_task,
    test_and_register_task,
)
from flows.features import snapshots_task
from flows.gates import gates
from flows.promote import promote as promote_version
from holdfast.core.formatting import format_count
from holdfast.ingestion.as_of import resolve_as_of, resolve_known_at
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.declaration import CHURN, load_declaration, registered_name
from holdfast.reporting.flow_results import TrainResult
from holdfast.runtime.progress import report_progress
from holdfast.training.dataset import find_labeled_cutoffs
from holdfast.training.lineage import Lineage
from holdfast.training.settings import TrainingSettings

if TYPE_CHECKING:
    from holdfast.training.mlflow_tracking import TrainedVersion


@flow(name="train", flow_run_name=run_name, persist_result=False)
def train(
    as_of: datetime | None = None,
    known_at: datetime | None = None,
    training: TrainingSettings | None = None,
    thresholds: GateSettings | None = None,
    definitions: str | None = None,
    model: str = CHURN,
    promote: bool = False,
) -> "TrainResult[Any]":
    """Train a model, test it on the latest closed months, register it and evaluate its gates.

    Args:
        as_of: Outcomes up to this time are used; now when left out.
        known_at: Use only data that had arrived by then; all data when left out.
        training: Cut-offs, search, value, slices and seed.
        thresholds: Thresholds of the gates.
        definitions: Id of a version of the feature definitions; that of this checkout when left out.
        model: The model, as declared in feature_repo/models.
        promote: Make a version that passed its gates the champion at once, without a rollout.
    """
    from holdfast.training.mlflow_tracking import training_lock

    settings, declaration = configure(), load_declaration(model)
    training = (training or TrainingSettings()).with_candidates(declaration.candidates)
    time, known = resolve_as_of(as_of, settings, run_time()), resolve_known_at(known_at)
    version = find_definitions_task(settings, definitions)
    lineage = collect_lineage_task(settings, model, training, version, time, known)
    with training_lock(settings):
        found = find_trained_version_task(settings, lineage)
        registered = found or _train(settings, training, version, lineage)
    verdict = gates(registered.version, thresholds, model=model)
    if promote and verdict.challenger:
        promote_version(registered.version, model=model)
    return build_result(settings, model, registered, verdict, trained=found is None)


def _train(settings: Settings, training: TrainingSettings, definitions: str, lineage: Lineage) -> "TrainedVersion":
    from holdfast.training.category_encoding import require_categories
    from holdfast.training.evaluation import require_slice_inputs
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import training_run
    from holdfast.training.model_selection import drop_single_class_folds

    as_of, known_at = lineage.as_of, lineage.known_at
    labeled = find_labeled_cutoffs(settings, as_of, known_at, training.min_history_days, lineage.terms)
    split = labeled.split(training)
    for note in labeled.describe():
        report_progress(note)
    report_progress(f"building the features of {format_count(len(split.cutoffs), 'cut-off')}")
    for cutoff in split.cutoffs:
        snapshots_task(settings, definitions, cutoff, known_at)
    data = assemble_training_set_task(settings, lineage.model, definitions, split.cutoffs, as_of, known_at)
    require_categories(data)
    require_slice_inputs(training.slices, data.feature_names, data.texts)
    if load_declaration(lineage.model).kind == "regression":
        return train_regression(settings, training, lineage, data, split)
    split = drop_single_class_folds(split, data)
    with training_run(open_tracking(settings, registered_name(lineage.model)), settings, lineage) as run_id:
        best = search_task(settings, training, lineage, data, split, run_id)
        choice = choose_model_task(settings, training, best, data, split)
        tested = test_and_register_task(settings, training, lineage, choice, data, run_id)
    publish_evaluation_task(tested, lineage)
    return tested.registered


if __name__ == "__main__":
    run_flow(train)
