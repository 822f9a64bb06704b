"""Spend view: expected against observed spend of the batch scores, and drift of the expected spend."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.batch_scoring.spend_model import SPEND
from holdfast.core.errors import HoldfastError
from holdfast.model_versions.aliases import get_champion_version, read_contracts
from holdfast.model_versions.champion_history import read_training_times
from holdfast.models.contract import UnknownLabelError
from holdfast.models.declaration import registered_name
from holdfast.monitoring.drift.psi import SCORE, measure_psi
from holdfast.monitoring.drift.rule import FeatureDrift, mark_drifted
from holdfast.monitoring.performance.cohorts import start_of_month
from holdfast.monitoring.result import ViewResult, build_empty_result
from holdfast.monitoring.settings import DriftRules, MonitorSettings
from holdfast.monitoring.spend.cohorts import SpendCohort, load_latest_cohort, load_spend_cohorts
from holdfast.monitoring.spend.findings import (
    DRIFT_SUBJECT,
    ExpectedRange,
    build_spend_metrics,
    expected_ranges,
    find_drift,
    find_latest,
    find_quality_drop,
    quality_subject,
)
from holdfast.monitoring.spend.performance import GAIN, SpendPerformance, evaluate_spend_cohorts
from holdfast.monitoring.spend.plot import plot_spend
from holdfast.monitoring.window import Window
from holdfast.training.mlflow_client import ModelClient, UnknownVersionError, open_registry
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE, read_model_evaluation
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.run_artifacts import read_file

_NO_COHORT = "No score table has an expected spend: there is no cohort to measure."


def run_spend_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Compare the expected spend of the batch scores with the outcomes, and with what the version expected before.

    Args:
        settings: Settings with the data folder and the registry's URL.
        window: Monitoring window; outcomes are those known at ``window.known_at``.
        rules: Limits of the performance view and of the drift view.

    Returns:
        The result of the view.
    """
    try:
        client = open_registry(settings, registered_name(SPEND))
    except UnknownVersionError:
        return build_empty_result(SPEND, "mature_cohorts", "No version was ever registered.")
    since = start_of_month(window.as_of, rules.outcome.cohorts)
    found = load_spend_cohorts(settings, since, window.as_of, rules.outcome.every)
    if not found:
        return build_empty_result(SPEND, "mature_cohorts", _NO_COHORT)
    champion, notes = get_champion_version(client), list[str]()
    labels = _read_labels(client, found, notes)
    cohorts = [cohort for cohort in found if cohort.version in labels]
    tests = {version: test for version in labels if (test := _read_test(client, version, notes)) is not None}
    performance = evaluate_spend_cohorts(
        settings,
        cohorts,
        labels,
        {version: test.known_mean for version, test in tests.items()},
        read_training_times(client),
        window.as_of,
        window.known_at,
        rules.outcome,
    )
    latest = find_latest(performance, champion)
    test = tests.get(champion) if champion else None
    ranges: dict[str, ExpectedRange] = expected_ranges(test) if test else {}
    drift = _measure_drift(client, load_latest_cohort(settings, window.as_of), cohorts, rules.drift, notes)
    evaluated = {quality_subject(cohort.version) for cohort in found} if ranges else set()
    return ViewResult(
        view=SPEND,
        summary=_summarize(performance, window.as_of),
        metrics=build_spend_metrics(performance, latest, ranges, drift, rules.drift),
        table=_build_table(performance) or [{SPEND: " ".join(notes)}],
        plot=plot_spend(performance, latest),
        findings=[*find_quality_drop(latest, ranges), *find_drift(drift, rules.drift)],
        notes=notes,
        evaluated_subjects=evaluated | ({DRIFT_SUBJECT} if drift is not None else set()),
    )


def _read_labels(client: ModelClient, cohorts: Sequence[SpendCohort], notes: list[str]) -> dict[str, Any]:
    """Read the label of each version of the cohorts; a note per version explains the lack of one."""
    contracts, labels = read_contracts(client), {}
    for version in sorted({cohort.version for cohort in cohorts}):
        try:
            labels[version] = contracts[version].label
        except (KeyError, UnknownLabelError):
            notes.append(f"Version {version} is not evaluated: it is not registered, or its label is unknown.")
    return labels


def _read_test(client: ModelClient, version: str, notes: list[str]) -> RegressionEvaluation | None:
    """Read the evaluation of a version; a note explains the lack of one."""
    try:
        test = read_model_evaluation(client, _run_id(client, version))
    except (MlflowException, HoldfastError, OSError, ValueError) as error:
        notes.append(f"The test of version {version} cannot be read: {str(error).splitlines()[0]}")
        return None
    return test if isinstance(test, RegressionEvaluation) else None


def _measure_drift(
    client: ModelClient,
    newest: SpendCohort | None,
    cohorts: Sequence[SpendCohort],
    rules: DriftRules,
    notes: list[str],
) -> FeatureDrift | None:
    """Measure the drift of the newest scores from the test rows and from the first scores of their version."""
    if newest is None or len(newest.rows) < rules.min_rows:
        notes.append(f"The drift of the expected spend is not checked: {rules.min_rows} customers are needed.")
        return None
    trained_at = read_training_times(client).get(newest.version, newest.as_of)
    scored = [item for item in cohorts if item.version == newest.version and item.as_of >= trained_at]
    first = min(scored, key=lambda item: item.as_of, default=None)
    try:
        content = read_file(client, _run_id(client, newest.version), PREDICTIONS_FILE)
    except (MlflowException, OSError) as error:
        notes.append(f"The drift of the expected spend is not checked: {str(error).splitlines()[0]}")
        return None
    if first is None:
        notes.append("The drift of the expected spend is not checked: the scores are of before the training.")
        return None
    current = newest.rows["expected_spend"].to_numpy(np.float64)
    tested = pd.read_parquet(io.BytesIO(content), columns=["model"])["model"].to_numpy(np.float64)
    accepted = first.rows["expected_spend"].to_numpy(np.float64)
    vs_test, vs_first = (measure_psi(SCORE, reference, current) for reference in (tested, accepted))
    (drift,) = mark_drifted([FeatureDrift(newest.version, SCORE, len(current), vs_test, vs_first)], rules)
    return drift


def _build_table(performance: Sequence[SpendPerformance]) -> list[dict[str, Any]]:
    titles = {"total": "expected / observed total", "spearman": "rank correlation", "deviance": "Tweedie deviance"}
    titles |= {GAIN: "deviance saved over the mean"}
    return [
        {
            "cohort": item.cohort.name,
            "version": item.cohort.version,
            "customers": item.customers,
            "known": item.status,
            "expected mean": f"{item.expected:.2f}",
            "observed mean": "" if item.observed is None else f"{item.observed:.2f}",
            **{title: str(item.metrics.get(name, "")) for name, title in titles.items()},
            "note": item.note,
        }
        for item in sorted(performance, key=lambda item: item.cohort.as_of, reverse=True)
    ]


def _summarize(performance: Sequence[SpendPerformance], as_of: datetime) -> str:
    counts = {status: sum(item.status == status for item in performance) for status in ("measured", "open")}
    maturity = [item.matures_at for item in performance if item.status == "open" and item.matures_at > as_of]
    following = f"; the next horizon closes on {min(maturity):%Y-%m-%d}" if maturity else ""
    return f"{len(performance)} cohorts of the spend model: {counts['measured']} measured{following}"


def _run_id(client: ModelClient, version: str) -> str:
    return str(client.get_model_version(client.model_name, version).run_id)
