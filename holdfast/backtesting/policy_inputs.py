"""What a policy gets to know at a moment: which cohorts have matured, how the champion did, how far things drifted."""

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
    """The cohorts of earlier steps whose outcomes are known at ``as_of``, and were not at the step before."""
    known = {cohort for step in earlier for cohort in step.matured}
    scored = [step.as_of for step in earlier if step.customers and step.as_of not in known]
    return [cohort for cohort in scored if is_mature(settings, cohort, as_of, known_at)]


def find_latest_matured(earlier: Sequence[BacktestStep], matured: Sequence[datetime], champion: str) -> datetime | None:
    """The latest mature cohort that ``champion`` itself scored: a version answers for no other's scores."""
    known = {*matured, *(cohort for step in earlier for cohort in step.matured)}
    return max((step.as_of for step in earlier if step.as_of in known and step.champion == champion), default=None)


def measure_performance(
    client: MlflowClient,
    settings: Settings,
    scored: pd.DataFrame,
    cohort: datetime,
    known_at: datetime,
    training: TrainingSettings,
) -> Performance:
    """A mature cohort's quality, as known at ``known_at``, beside the test of the version that scored it.

    ``scored`` is a table as in ``holdfast.batch_scoring.scores_table.ScoresSchema``.
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
    """The PSI of the champion's inputs and of its score against the rows it was fitted on, largest first."""
    reference = load_training_rows(client, settings, champion.contract.model_version)
    then, now = (np.column_stack([rows.x, champion.score(rows)]) for rows in (reference, customers))
    return measure_psi_by_column([*champion.contract.inputs, SCORE], then, now)


def read_training_time(client: MlflowClient, version: str) -> datetime:
    """The moment that a version was trained at."""
    return datetime.fromisoformat(client.get_model_version(MODEL_NAME, version).tags["holdfast.as_of"])
