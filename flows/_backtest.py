"""Tasks of the backtest of one policy."""

from datetime import datetime
from typing import Any

from feature_repo.settings import Settings
from flows._tasks import task
from holdfast.backtesting.plan import BacktestJob
from holdfast.backtesting.policies import PolicyInputs
from holdfast.backtesting.results import BacktestStep
from holdfast.batch_scoring.population import ScoringPopulation, load_active_customers
from holdfast.models.declaration import load_declaration
from holdfast.models.label import SETTINGS_LABEL
from holdfast.training.label_query import declared_label


@task(name="find matured cohorts")
def find_matured_task(
    settings: Settings, model: str, earlier: list[BacktestStep], as_of: datetime, known_at: datetime
) -> list[datetime]:
    """Find earlier cohorts whose outcomes have become known since the step before."""
    from holdfast.backtesting.policy_step import find_newly_matured

    return find_newly_matured(settings, model, earlier, as_of, known_at)


@task(name="load active customers")
def load_customers_task(
    settings: Settings, model: str, definitions: str, as_of: datetime, known_at: datetime
) -> ScoringPopulation:
    """Load the features of the active customers, by the label of the model."""
    declared = load_declaration(model).label
    label = None if declared == SETTINGS_LABEL else declared_label(settings, declared)
    return load_active_customers(settings, definitions, as_of, known_at, label)


@task(name="load policy inputs")
def load_policy_inputs_task(
    settings: Settings,
    job: BacktestJob,
    earlier: list[BacktestStep],
    matured: list[datetime],
    customers: ScoringPopulation,
) -> PolicyInputs:
    """Collect what the policy decides by."""
    from holdfast.backtesting.policy_step import load_policy_inputs

    return load_policy_inputs(settings, job, earlier, matured, customers)


@task(name="score")
def score_step_task(settings: Settings, model: str, customers: ScoringPopulation) -> dict[str, Any]:
    """Score the active customers with the champion; return the fields of the step."""
    from holdfast.backtesting.policy_step import score_population

    return score_population(settings, model, customers)
