"""Inputs and scores of one step of a backtest: matured cohorts, performance of the champion, drift."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.backtesting.model_kinds import find_kind
from holdfast.backtesting.paths import SCORES_FOLDER
from holdfast.backtesting.plan import BacktestJob
from holdfast.backtesting.policies import Performance, PolicyInputs, SpendPerformance
from holdfast.backtesting.results import BacktestStep
from holdfast.batch_scoring.outcomes import is_mature
from holdfast.batch_scoring.population import ScoringPopulation
from holdfast.batch_scoring.scores_table import scores_path
from holdfast.model_versions.aliases import get_champion_version
from holdfast.model_versions.champion_history import read_training_times
from holdfast.models.declaration import load_declaration, registered_name
from holdfast.monitoring.drift.psi import SCORE, PsiResult, measure_psi_by_column
from holdfast.monitoring.drift.reference import load_training_rows
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.label_query import declared_label
from holdfast.training.mlflow_client import ModelClient, open_tracking


def find_newly_matured(
    settings: Settings, model: str, earlier: Sequence[BacktestStep], as_of: datetime, known_at: datetime
) -> list[datetime]:
    """Find cohorts that have matured since the previous step.

    Args:
        settings: Give the label and its days.
        model: Name of the model's declaration.
        earlier: Steps before ``as_of``.
        as_of: Time of the step.
        known_at: Arrival time up to which data count.

    Returns:
        ``as_of`` of each cohort.
    """
    matured = {cohort for step in earlier for cohort in step.matured}
    scored = [step.as_of for step in earlier if step.customers and step.as_of not in matured]
    label = declared_label(settings, load_declaration(model).label)
    return [cohort for cohort in scored if is_mature(settings, label, cohort, as_of, known_at)]


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
    client = open_tracking(settings, registered_name(job.plan.model))
    champion, count = get_champion_version(client), len(customers.ids)
    if champion is None:
        return PolicyInputs(None, count)
    if job.policy == "drift":
        return PolicyInputs(champion, count, _measure_drift(client, settings, job.plan.model, customers))
    if job.policy == "decay" and (cohort := _find_latest_matured(earlier, matured, champion)):
        return PolicyInputs(champion, count, [], _measure_decay(client, settings, job, cohort, customers.as_of))
    return PolicyInputs(champion, count)


def score_population(settings: Settings, model: str, customers: ScoringPopulation) -> dict[str, Any]:
    """Score the active customers with the champion and write the scores.

    Args:
        settings: Data folder of the policy.
        model: Name of the model's declaration.
        customers: The active customers of the step.

    Returns:
        Fields of the step: champion, its training time, number of customers, mean score.
    """
    client, kind = open_tracking(settings, registered_name(model)), find_kind(model)
    version = get_champion_version(client)
    if version is None:
        return {"champion": None, "champion_as_of": None, "customers": 0, "mean_score": None}
    scores = kind.score(settings, model, customers)
    kind.write(scores, scores_path(settings.data / SCORES_FOLDER, customers.as_of))
    return {
        "champion": version,
        "champion_as_of": read_training_times(client)[version],
        "customers": len(scores),
        "mean_score": float(scores[kind.prediction].to_numpy().mean()),
    }


def _find_latest_matured(
    earlier: Sequence[BacktestStep], matured: Sequence[datetime], champion: str
) -> datetime | None:
    """Find the latest matured cohort that the champion scored."""
    all_matured = {*matured, *(cohort for step in earlier for cohort in step.matured)}
    return max(
        (step.as_of for step in earlier if step.as_of in all_matured and step.champion == champion), default=None
    )


def _measure_decay(
    client: ModelClient, settings: Settings, job: BacktestJob, cohort: datetime, as_of: datetime
) -> Performance | SpendPerformance:
    """Measure performance on a matured cohort, and read the test metrics of the version that scored it."""
    kind, label = find_kind(job.plan.model), declared_label(settings, load_declaration(job.plan.model).label)
    scored = kind.read(scores_path(settings.data / SCORES_FOLDER, cohort))
    outcomes = kind.outcomes(settings, label, scored, cohort, job.plan.known_at(as_of))
    scored = scored.loc[outcomes.index]
    bootstrap = CustomerBootstrap(scored[ENTITY_KEY].to_numpy(), job.plan.training.resamples, job.plan.training.seed)
    return kind.compare(client, cohort, scored, outcomes.to_numpy(np.float64), bootstrap)


def _measure_drift(
    client: ModelClient, settings: Settings, model: str, customers: ScoringPopulation
) -> list[PsiResult]:
    """Measure the PSI of the champion's inputs and score between its training rows and the customers."""
    contract, predict = find_kind(model).load(settings, model)
    reference = load_training_rows(client, settings, contract.model_version)
    before, now = (np.column_stack([rows.x, predict(rows)]) for rows in (reference, customers))
    return measure_psi_by_column([*contract.inputs, SCORE], before, now, contract.categories)
