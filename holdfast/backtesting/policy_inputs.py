"""Inputs of a policy at a step: matured cohorts, performance of the champion, drift."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.backtesting.policies import Performance
from holdfast.backtesting.results import BacktestStep
from holdfast.batch_scoring.champion_model import ScoringModel
from holdfast.batch_scoring.outcomes import is_mature, load_cohort_outcomes
from holdfast.batch_scoring.population import ScoringPopulation
from holdfast.models.contract import MODEL_NAME
from holdfast.monitoring.drift.psi import SCORE, PsiResult, measure_psi_by_column
from holdfast.monitoring.drift.reference import load_training_rows
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.metrics import compute_metric_intervals
from holdfast.training.mlflow_tracking import read_evaluation
from holdfast.training.settings import TrainingSettings


def find_newly_matured(
    settings: Settings, earlier: Sequence[BacktestStep], as_of: datetime, known_at: datetime
) -> list[datetime]:
    """Find cohorts that have matured since the previous step.

    Args:
        settings: Give the horizon.
        earlier: Steps before ``as_of``.
        as_of: Time of the step.
        known_at: Arrival time up to which data count.

    Returns:
        ``as_of`` of each cohort.
    """
    matured = {cohort for step in earlier for cohort in step.matured}
    scored = [step.as_of for step in earlier if step.customers and step.as_of not in matured]
    return [cohort for cohort in scored if is_mature(settings, cohort, as_of, known_at)]


def find_latest_matured(earlier: Sequence[BacktestStep], matured: Sequence[datetime], champion: str) -> datetime | None:
    """Find the latest matured cohort that the champion scored.

    Args:
        earlier: Steps before the current one.
        matured: Cohorts that have matured since the previous step.
        champion: Version.

    Returns:
        ``as_of`` of the cohort; None without one.
    """
    all_matured = {*matured, *(cohort for step in earlier for cohort in step.matured)}
    return max(
        (step.as_of for step in earlier if step.as_of in all_matured and step.champion == champion), default=None
    )


def measure_performance(
    client: MlflowClient,
    settings: Settings,
    scored: pd.DataFrame,
    cohort: datetime,
    known_at: datetime,
    training: TrainingSettings,
) -> Performance:
    """Measure performance on a matured cohort, and read the test metrics of the version that scored it.

    Args:
        client: Client of the registry.
        settings: Name the data folder.
        scored: Table as in ``holdfast.batch_scoring.scores_table.ScoresSchema``.
        cohort: ``as_of`` of the cohort.
        known_at: Arrival time up to which outcomes count.
        training: Gives number and seed of the bootstrap resamples.

    Returns:
        Metrics on the cohort and on the test period.
    """
    churned = load_cohort_outcomes(settings, scored, cohort, known_at)
    bootstrap = CustomerBootstrap(scored[ENTITY_KEY].to_numpy(), training.resamples, training.seed)
    run_id = str(client.get_model_version(MODEL_NAME, scored["model_version"].iloc[0]).run_id)
    return Performance(
        cohort,
        compute_metric_intervals(churned, scored["churn_probability"].to_numpy(), bootstrap),
        read_evaluation(client, run_id).metrics["model"],
    )


def compute_drift(
    client: MlflowClient, settings: Settings, champion: ScoringModel, customers: ScoringPopulation
) -> list[PsiResult]:
    """Compute the PSI of the champion's inputs and score between its training rows and the customers.

    Args:
        client: Client of the registry.
        settings: Name the data folder.
        champion: Model that scores both.
        customers: Customers to score.

    Returns:
        One result per input and for the score, largest first.
    """
    reference = load_training_rows(client, settings, champion.contract.model_version)
    before, now = (np.column_stack([rows.x, champion.score(rows)]) for rows in (reference, customers))
    return measure_psi_by_column([*champion.contract.inputs, SCORE], before, now)
