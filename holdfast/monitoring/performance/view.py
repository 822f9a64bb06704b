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
from holdfast.monitoring.evidently_workspace import said
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.performance.cohort_performance import CohortQuality, qualities
from holdfast.monitoring.performance.cohorts import first_month, requested_cohorts, scored_cohorts
from holdfast.monitoring.performance.findings import dropped, metric_rows, report, summary, table
from holdfast.monitoring.performance.model_events import marks
from holdfast.monitoring.performance.plot import quality_over_time
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from holdfast.runtime.run_artifacts import read_file
from holdfast.training.evaluation_report import Evaluation, Interval
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE, read_evaluation


def outcome_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Every cohort of the latest months, up to the end of the window, as known at ``window.known_at``.

    The champion is held against its promise: what its test found before it was promoted.
    """
    try:
        client = open_registry(settings)
    except UnknownVersionError:
        return _nothing("No version was ever registered: nobody was scored.")
    since = first_month(window.as_of, rules.outcome.cohorts)
    cohorts = scored_cohorts(settings, since, window.as_of, rules.outcome.every)
    cohorts += requested_cohorts(settings, since, window.as_of, _thresholds(client))
    trained, champion = read_training_times(client), get_champion_version(client)
    known = qualities(settings, cohorts, trained, window.as_of, window.known_at, rules.outcome)
    if not known:
        return _nothing(summary(known, window.as_of))
    promised, notes = _promise(client, champion)
    is_unknown = champion is not None and not promised
    happened = [
        mark for mark in marks(settings, read_champion_history(client), trained, cohorts) if mark.when <= window.as_of
    ]
    return ViewResult(
        view="outcome",
        summary=summary(known, window.as_of),
        metrics=metric_rows(known, champion, promised),
        table=table(known),
        picture=quality_over_time(known, promised, happened, champion),
        findings=dropped(known, champion, promised) if champion else [],
        report=_report(client, known),
        notes=notes,
        judged=() if is_unknown else None,
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


def _report(client: MlflowClient, known: list[CohortQuality]) -> object | None:
    """Evidently's, of the latest mature cohort."""
    measured = [item for item in known if item.status == "measured"]
    if not measured:
        return None
    latest = max(measured, key=lambda item: item.cohort.as_of)
    try:
        content = read_file(client, _run_id(client, latest.cohort.version), PREDICTIONS_FILE)
    except (MlflowException, OSError):  # its run is gone
        return report(latest, None)
    test = pd.read_parquet(io.BytesIO(content)).rename(columns={"model": "churn_probability"})
    return report(latest, test)


def _run_id(client: MlflowClient, version: str) -> str:
    return str(client.get_model_version(MODEL_NAME, version).run_id)


def _nothing(told: str) -> ViewResult:
    """A run that found no cohort is a run, too."""
    rows = [MetricRow("mature_cohorts", "all", 0.0, 0)]
    return ViewResult("outcome", told, rows, [{"outcome": told}], said(told), judged=())
