"""The outcome view: how good the scores turned out to be, cohort by cohort, and how good to expect of the others."""

import io

import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.model_versions.aliases import UnknownVersionError, get_champion_version, list_versions, open_registry
from holdfast.model_versions.champion_history import read_champion_history, read_training_times
from holdfast.models.contract import MODEL_NAME
from holdfast.models.registered_version import NotServableError, RegisteredVersion
from holdfast.monitoring.evidently_workspace import plot_message
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.performance.cohort_performance import CohortPerformance, evaluate_cohorts
from holdfast.monitoring.performance.cohorts import load_request_cohorts, load_score_cohorts, start_of_month
from holdfast.monitoring.performance.findings import (
    build_metric_rows,
    build_table,
    classification_report,
    degradation_findings,
    summarize_cohorts,
)
from holdfast.monitoring.performance.model_events import list_model_events
from holdfast.monitoring.performance.plot import plot_performance
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from holdfast.runtime.run_artifacts import read_file
from holdfast.training.evaluation_report import Evaluation, Interval
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE, read_evaluation


def run_outcome_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Every cohort of the latest months, up to the end of the window, as known at ``window.known_at``.

    The champion is held against its promise: what its test found before it was promoted.
    """
    try:
        client = open_registry(settings)
    except UnknownVersionError:
        return _nothing("No version was ever registered: nobody was scored.")
    since = start_of_month(window.as_of, rules.outcome.cohorts)
    cohorts = load_score_cohorts(settings, since, window.as_of, rules.outcome.every)
    cohorts += load_request_cohorts(settings, since, window.as_of, _thresholds(client))
    trained, champion = read_training_times(client), get_champion_version(client)
    known = evaluate_cohorts(settings, cohorts, trained, window.as_of, window.known_at, rules.outcome)
    if not known:
        return _nothing(summarize_cohorts(known, window.as_of))
    promised, notes = _promise(client, champion)
    is_unknown = champion is not None and not promised
    happened = [
        mark
        for mark in list_model_events(settings, read_champion_history(client), trained, cohorts)
        if mark.time <= window.as_of
    ]
    return ViewResult(
        view="outcome",
        summary=summarize_cohorts(known, window.as_of),
        metrics=build_metric_rows(known, champion, promised),
        table=build_table(known),
        plot=plot_performance(known, promised, happened, champion),
        findings=degradation_findings(known, champion, promised) if champion else [],
        report=_report(client, known),
        notes=notes,
        evaluated_subjects=() if is_unknown else None,
    )


def _promise(client: MlflowClient, champion: str | None) -> tuple[dict[str, Interval], list[str]]:
    """What the champion's test found, and why that is not known."""
    if champion is None:
        return {}, ["There is no champion: nothing was promised."]
    try:
        told: Evaluation = read_evaluation(client, _run_id(client, champion))
    except (MlflowException, HoldfastError, OSError) as error:
        return {}, [f"What the test of version {champion} promised cannot be read: {str(error).splitlines()[0]}"]
    return {**told.metrics["model"], "earned": told.value.earned}, []


def _thresholds(client: MlflowClient) -> dict[str, float]:
    """Version to the threshold at which it makes an offer, of those that can be served."""
    found = {}
    for item in list_versions(client):
        try:
            found[str(item.version)] = RegisteredVersion(str(item.version), item.tags).contract().threshold
        except NotServableError:
            continue
    return found


def _report(client: MlflowClient, known: list[CohortPerformance]) -> object | None:
    """Evidently's, of the latest mature cohort."""
    measured = [item for item in known if item.status == "measured"]
    if not measured:
        return None
    latest = max(measured, key=lambda item: item.cohort.as_of)
    try:
        content = read_file(client, _run_id(client, latest.cohort.version), PREDICTIONS_FILE)
    except (MlflowException, OSError):  # its run is gone
        return classification_report(latest, None)
    test = pd.read_parquet(io.BytesIO(content)).rename(columns={"model": "churn_probability"})
    return classification_report(latest, test)


def _run_id(client: MlflowClient, version: str) -> str:
    return str(client.get_model_version(MODEL_NAME, version).run_id)


def _nothing(told: str) -> ViewResult:
    """A run that found no cohort is a run, too."""
    rows = [MetricRow("mature_cohorts", "all", 0.0, 0)]
    return ViewResult("outcome", told, rows, [{"outcome": told}], plot_message(told), evaluated_subjects=())
