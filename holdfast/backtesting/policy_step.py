"""Inputs and scores of one step of a backtest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from feature_repo.settings import Settings
from holdfast.backtesting.paths import SCORES_FOLDER
from holdfast.backtesting.plan import BacktestJob
from holdfast.backtesting.policies import PolicyInputs
from holdfast.backtesting.policy_inputs import (
    compute_drift,
    find_latest_matured,
    measure_performance,
)
from holdfast.backtesting.results import BacktestStep
from holdfast.batch_scoring.champion_model import load_champion
from holdfast.batch_scoring.population import ScoringPopulation
from holdfast.batch_scoring.scores_table import build_scores, read_scores, scores_path, write_scores
from holdfast.model_versions.aliases import get_champion_version
from holdfast.model_versions.champion_history import read_training_times
from holdfast.models.mlflow_client import open_tracking


def load_policy_inputs(
    settings: Settings,
    job: BacktestJob,
    earlier: Sequence[BacktestStep],
    matured: Sequence[datetime],
    customers: ScoringPopulation,
) -> PolicyInputs:
    """Collect what a policy decides by; inputs of other policies are not computed.

    Args:
        settings: Data folder of the policy.
        job: Plan and policy.
        earlier: The steps before.
        matured: Cohorts that have matured since the step before.
        customers: The active customers of the step.

    Returns:
        The inputs.
    """
    client = open_tracking(settings)
    champion, count = get_champion_version(client), len(customers.ids)
    if champion is None:
        return PolicyInputs(None, count)
    if job.policy == "drift":
        return PolicyInputs(champion, count, compute_drift(client, settings, load_champion(settings), customers))
    if job.policy == "decay" and (cohort := find_latest_matured(earlier, matured, champion)):
        scores = read_scores(scores_path(settings.data / SCORES_FOLDER, cohort))
        known_at = job.plan.known_at(customers.as_of)
        measured = measure_performance(client, settings, scores, cohort, known_at, job.plan.training)
        return PolicyInputs(champion, count, [], measured)
    return PolicyInputs(champion, count)


def score_population(settings: Settings, customers: ScoringPopulation) -> dict[str, Any]:
    """Score the active customers with the champion and write the scores.

    Args:
        settings: Data folder of the policy.
        customers: The active customers of the step.

    Returns:
        Fields of the step: champion, its training time, number of customers, mean score.
    """
    client = open_tracking(settings)
    version = get_champion_version(client)
    if version is None:
        return {"champion": None, "champion_as_of": None, "customers": 0, "mean_score": None}
    scores = build_scores(customers, load_champion(settings))
    write_scores(scores, scores_path(settings.data / SCORES_FOLDER, customers.as_of))
    return {
        "champion": version,
        "champion_as_of": read_training_times(client)[version],
        "customers": len(scores),
        "mean_score": float(scores["churn_probability"].to_numpy().mean()),
    }
