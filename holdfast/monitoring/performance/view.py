"""Performance view: measured performance of matured cohorts, and estimated performance of the others."""

import io
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.model_versions.aliases import get_champion_version, read_contracts
from holdfast.model_versions.champion_history import read_champion_history, read_training_times
from holdfast.models.contract import ServedModel, UnknownLabelError
from holdfast.models.label import LabelDefinition
from holdfast.monitoring.performance.cohort_performance import CohortPerformance, evaluate_cohorts
from holdfast.monitoring.performance.cohorts import (
    ScoredCohort,
    load_request_cohorts,
    load_score_cohorts,
    start_of_month,
)
from holdfast.monitoring.performance.findings import (
    build_cohort_metrics,
    build_cohort_table,
    classification_report,
    degradation_findings,
    summarize_cohorts,
)
from holdfast.monitoring.performance.model_events import list_model_events
from holdfast.monitoring.performance.plot import plot_performance
from holdfast.monitoring.result import ViewResult, build_empty_result
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from holdfast.training.evaluation_report import Evaluation, Interval
from holdfast.training.level import find_level_warning
from holdfast.training.mlflow_client import ModelClient, UnknownVersionError, open_registry
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE, read_evaluation
from holdfast.training.run_artifacts import read_file


def run_performance_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Measure the performance of each cohort of the latest months, and compare the champion with its test.

    Args:
        settings: Settings with the data folder and the registry's URL.
        window: Monitoring window; outcomes are those known at ``window.known_at``.
        rules: Limits.

    Returns:
        The result of the view.
    """
    try:
        client = open_registry(settings)
    except UnknownVersionError:
        return build_empty_result("outcome", "mature_cohorts", "No version was ever registered.")
    since = start_of_month(window.as_of, rules.outcome.cohorts)
    contracts = read_contracts(client)
    found = load_score_cohorts(settings, since, window.as_of, rules.outcome.every)
    found += load_request_cohorts(settings, since, window.as_of, contracts)
    labels, unlabeled = _read_labels(contracts, found)
    cohorts = [cohort for cohort in found if cohort.version in labels]
    trained, champion = read_training_times(client), get_champion_version(client)
    performance = evaluate_cohorts(settings, cohorts, labels, trained, window.as_of, window.known_at, rules.outcome)
    summary = summarize_cohorts(performance, window.as_of)
    if not performance:
        return build_empty_result("outcome", "mature_cohorts", " ".join(unlabeled) or summary)
    expected, notes = _read_expected_performance(client, champion)
    history = read_champion_history(client)
    events = [e for e in list_model_events(settings, history, trained, cohorts) if e.time <= window.as_of]
    return ViewResult(
        view="outcome",
        summary=summary,
        metrics=build_cohort_metrics(performance, champion, expected),
        table=build_cohort_table(performance),
        plot=plot_performance(performance, expected, events, champion),
        findings=degradation_findings(performance, champion, expected) if champion else [],
        report=partial(_build_report, client, performance),
        notes=[*notes, *unlabeled],
        evaluated_subjects=() if champion is not None and not expected else None,
    )


def _read_expected_performance(client: ModelClient, champion: str | None) -> tuple[dict[str, Interval], list[str]]:
    """Read the metrics of the champion's test, and the bias to expect where the level is not known.

    A note has the warning about the level, or the reason why there are no metrics.
    """
    if champion is None:
        return {}, ["There is no champion, so there is no expected performance."]
    try:
        evaluation: Evaluation = read_evaluation(client, _run_id(client, champion))
    except (MlflowException, HoldfastError, OSError) as error:
        return {}, [f"The test metrics of version {champion} cannot be read: {str(error).splitlines()[0]}"]
    expected = {**evaluation.metrics["model"], "earned": evaluation.value.earned}
    if warning := find_level_warning(evaluation.level):
        expected["bias"] = Interval(value=0.0, low=-warning.size, high=warning.size)
        return expected, [warning.text]
    return expected, []


def _read_labels(
    contracts: Mapping[str, ServedModel], cohorts: Sequence[ScoredCohort]
) -> tuple[dict[str, LabelDefinition], list[str]]:
    """Read the label of each version of the cohorts; a note per version explains the lack of one."""
    labels, notes = {}, []
    for version in sorted({cohort.version for cohort in cohorts}):
        if version not in contracts:
            notes.append(f"Version {version} is not evaluated: it is not registered, so that its label is unknown.")
            continue
        try:
            labels[version] = contracts[version].label
        except UnknownLabelError as error:
            notes.append(f"Version {version} is not evaluated: {error}")
    return labels, notes


def _build_report(client: ModelClient, performance: list[CohortPerformance]) -> object | None:
    """Build Evidently's report of the latest matured cohort; None without one."""
    matured = [cohort for cohort in performance if cohort.status == "measured"]
    if not matured:
        return None
    latest = max(matured, key=lambda item: item.cohort.as_of)
    try:
        content = read_file(client, _run_id(client, latest.cohort.version), PREDICTIONS_FILE)
    except (MlflowException, OSError):  # the run was deleted
        return classification_report(latest, None)
    test = pd.read_parquet(io.BytesIO(content)).rename(columns={"model": "churn_probability"})
    return classification_report(latest, test)


def _run_id(client: ModelClient, version: str) -> str:
    return str(client.get_model_version(client.model_name, version).run_id)
