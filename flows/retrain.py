"""Retrain: training where drift or a loss of performance persists. `python -m flows.retrain --as-of 1998-03-01`."""

from datetime import datetime

from prefect import flow, get_run_logger

from flows import configure
from flows._cli import run_flow
from flows._retraining import list_retrained_models_task, retrain_model
from flows._tasks import run_name, run_time
from holdfast.ingestion.as_of import resolve_as_of
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.reporting.flow_results import RetrainResult, RetrainResults
from holdfast.retraining.settings import RetrainingRules
from holdfast.runtime.flow_runs import skipped_state
from holdfast.training.settings import TrainingSettings


@flow(name="retrain", flow_run_name=run_name, persist_result=False)
def retrain(
    event: str | None = None,
    subject: str | None = None,
    as_of: datetime | None = None,
    rules: RetrainingRules | None = None,
    training: TrainingSettings | None = None,
    thresholds: GateSettings | None = None,
    model: str | None = None,
) -> RetrainResults:
    """Train a new version if drift or a loss of performance persists, unless skew is open or the last was recent.

    Each model is decided by its own findings. A version that passes its gates is rolled out.

    Args:
        event: The event that started the run, such as holdfast.drift.detected; none when started manually. The
            decision considers all findings.
        subject: The subject of the event.
        as_of: Time of decision and training; now when left out.
        rules: How long a finding has to persist, and the time between retrainings.
        training: Settings of the training, as for train.
        thresholds: Thresholds of the gates of a classification, as for train.
        model: The model, as declared in feature_repo/models; churn and all models with a champion when left out.
    """
    settings, rules = configure(), rules or RetrainingRules()
    time = resolve_as_of(as_of, settings, run_time())
    results: dict[str, RetrainResult] = {}
    failed: list[Exception] = []
    for name in [model] if model else list_retrained_models_task(settings):
        try:  # a failure of one model must not stop the retraining of another
            results[name] = retrain_model(settings, name, event, subject, time, rules, training, thresholds)
        except Exception as error:
            get_run_logger().error("%s: %s: %s", name, type(error).__name__, error)
            failed.append(error)
    if failed:
        raise failed[0]
    result = RetrainResults(results)
    return result if result.retrained else skipped_state(result.summary(), result)


if __name__ == "__main__":
    run_flow(retrain)
