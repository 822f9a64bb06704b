"""Train: features, search, choice, test, registration and gates of a model. `python -m flows.train`."""

from datetime import datetime
from typing import TYPE_CHECKING

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._cli import run_flow
from flows._tasks import run_name, run_time
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
from holdfast.core.formatting import format_count
from holdfast.ingestion.as_of import resolve_as_of, resolve_known_at
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.contract import MODEL_NAME
from holdfast.models.label import LabelTerms
from holdfast.reporting.flow_results import GatesResult, TrainResult
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
) -> TrainResult:
    """Train a model, test it on the latest closed months, register it and evaluate its gates.

    Args:
        as_of: Outcomes up to this time are used; now when left out.
        known_at: Use only data that had arrived by then; all data when left out.
        training: Cut-offs, search, value, slices and seed.
        thresholds: Thresholds of the gates.
        definitions: Id of a version of the feature definitions; that of this checkout when left out.
    """
    from holdfast.training.mlflow_tracking import training_lock

    settings, training = configure(), training or TrainingSettings()
    time, known = resolve_as_of(as_of, settings, run_time()), resolve_known_at(known_at)
    version = find_definitions_task(settings, definitions)
    lineage = collect_lineage_task(settings, training, version, time, known)
    with training_lock(settings):
        found = find_trained_version_task(settings, lineage)
        registered = found or _train(settings, training, version, lineage)
    verdict = gates(registered.version, thresholds)
    return _result(settings, registered, verdict, trained=found is None)


def _train(settings: Settings, training: TrainingSettings, definitions: str, lineage: Lineage) -> "TrainedVersion":
    from holdfast.training.category_encoding import require_categories
    from holdfast.training.evaluation import require_slice_inputs
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import training_run
    from holdfast.training.model_selection import drop_single_class_folds

    as_of, known_at = lineage.as_of, lineage.known_at
    labeled = find_labeled_cutoffs(settings, as_of, known_at, training.min_history_days)
    split = labeled.split(training, LabelTerms.of(settings).outcome_days)
    for note in labeled.describe():
        report_progress(note)
    report_progress(f"building the features of {format_count(len(split.cutoffs), 'cut-off')}")
    for cutoff in split.cutoffs:
        snapshots_task(settings, definitions, cutoff, known_at)
    data = assemble_training_set_task(settings, definitions, split.cutoffs, as_of, known_at)
    split = drop_single_class_folds(split, data)
    require_categories(data)
    require_slice_inputs(training.slices, data.feature_names, data.texts)
    with training_run(open_tracking(settings), settings, lineage) as run_id:
        best = search_task(settings, training, lineage, data, split, run_id)
        choice = choose_model_task(settings, training, best, data, split)
        tested = test_and_register_task(settings, training, lineage, choice, data, run_id)
    publish_evaluation_task(tested, lineage)
    return tested.registered


def _result(settings: Settings, registered: "TrainedVersion", verdict: GatesResult, trained: bool) -> TrainResult:
    """Read the result from the MLflow run, so that new and found versions give the same result."""
    from holdfast.model_versions.aliases import get_champion_version
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import read_evaluation

    client = open_tracking(settings)
    return TrainResult(
        model_name=MODEL_NAME,
        model_version=registered.version,
        run_id=registered.run_id,
        trained=trained,
        training_rows=int(client.get_run(registered.run_id).data.metrics["training_rows"]),
        evaluation=read_evaluation(client, registered.run_id),
        gates=verdict,
        is_champion=get_champion_version(client) == registered.version,
    )


def load_result(settings: Settings, version: str) -> TrainResult:
    """Load the result of a registered version, with the verdict that it was promoted on.

    Args:
        settings: Settings with the registry.
        version: Version number.

    Returns:
        The result; without gates if their report is missing.
    """
    from holdfast.model_versions.aliases import get_version
    from holdfast.model_versions.records import GatesRecord, PromotionRecord
    from holdfast.promotion.gate_report import read_report
    from holdfast.training.mlflow_client import open_registry
    from holdfast.training.mlflow_tracking import TrainedVersion

    client = open_registry(settings)
    promotion, record = PromotionRecord.load(client, version), GatesRecord.load(client, version)
    key = promotion.gates if promotion else record.key if record else ""
    report = read_report(client, version, key)
    verdict = GatesResult(
        version=version,
        champion=report.champion if report else None,
        passed=report is not None and not report.failed,
        challenger=False,
        computed=False,
        gates=report.gates if report else [],
        warnings=report.warnings if report else [],
    )
    registered = TrainedVersion(version, str(get_version(client, version).run_id))
    return _result(settings, registered, verdict, trained=False)


if __name__ == "__main__":
    run_flow(train)
