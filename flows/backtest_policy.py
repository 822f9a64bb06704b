"""Walk: one policy through the past, in a data folder of its own. `flows.backtest` starts it as a process."""

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect import flow
from rich.console import Console

from feature_repo.settings import Settings, load_settings
from flows import configure
from flows._tasks import task
from flows._training import require_applied_task
from flows.features import features, snapshots_task
from flows.promote import promote
from flows.train import train
from holdfast.backtesting.console_tables import format_step
from holdfast.backtesting.paths import JOB_FILE, SCORES_FOLDER, STEPS_FILE
from holdfast.backtesting.plan import BacktestJob, BacktestPlan
from holdfast.backtesting.policies import PolicyInputs, TrainingDecision, decide
from holdfast.backtesting.results import BacktestStep, InputDrift, StepTraining, write_steps
from holdfast.core.errors import PromotionRefusedError
from holdfast.feature_store.materialization import load_online_state
from holdfast.training.time_split import NotEnoughHistoryError

if TYPE_CHECKING:
    from holdfast.batch_scoring.population import ScoringPopulation


@task(name="mature cohorts")
def mature_task(settings: Settings, earlier: list[BacktestStep], as_of: datetime, known_at: datetime) -> list[datetime]:
    """Earlier cohorts whose outcomes have become known since the step before."""
    from holdfast.backtesting.policy_inputs import find_newly_matured

    return find_newly_matured(settings, earlier, as_of, known_at)


@task(name="active customers")
def customers_task(settings: Settings, as_of: datetime, known_at: datetime) -> "ScoringPopulation":
    """Whom to score, and their features."""
    from holdfast.batch_scoring.population import load_active_customers

    return load_active_customers(settings, as_of, known_at)


@task(name="what is known")
def known_task(
    settings: Settings,
    told: BacktestJob,
    earlier: list[BacktestStep],
    matured: list[datetime],
    customers: "ScoringPopulation",
) -> PolicyInputs:
    """What the policy decides by; what only other policies look at is not computed."""
    from holdfast.backtesting.policy_inputs import compute_drift, find_latest_matured, measure_performance
    from holdfast.batch_scoring.champion_model import load_champion
    from holdfast.batch_scoring.scores_table import read_scores, scores_path
    from holdfast.model_versions.aliases import get_champion_version
    from holdfast.training.mlflow_tracking import open_tracking

    client = open_tracking(settings)
    champion, count = get_champion_version(client), len(customers.ids)
    if champion is None:
        return PolicyInputs(None, count)
    if told.policy == "drift":
        return PolicyInputs(champion, count, compute_drift(client, settings, load_champion(settings), customers))
    if told.policy == "decay" and (cohort := find_latest_matured(earlier, matured, champion)):
        scored = read_scores(scores_path(settings.data / SCORES_FOLDER, cohort))
        known_at = told.plan.known_at(customers.as_of)
        return PolicyInputs(
            champion, count, [], measure_performance(client, settings, scored, cohort, known_at, told.plan.training)
        )
    return PolicyInputs(champion, count)


@task(name="score")
def score_task(settings: Settings, customers: "ScoringPopulation") -> dict[str, Any]:
    """The champion's word on every customer, kept as Parquet; what the step's record says of it."""
    from holdfast.backtesting.policy_inputs import read_training_time
    from holdfast.batch_scoring.champion_model import load_champion
    from holdfast.batch_scoring.scores_table import build_scores, scores_path, write_scores
    from holdfast.model_versions.aliases import get_champion_version
    from holdfast.training.mlflow_tracking import open_tracking

    client = open_tracking(settings)
    version = get_champion_version(client)
    if version is None:
        return {"champion": None, "champion_as_of": None, "customers": 0, "mean_score": None}
    scores = build_scores(customers, load_champion(settings))
    write_scores(scores, scores_path(settings.data / SCORES_FOLDER, customers.as_of))
    return {
        "champion": version,
        "champion_as_of": read_training_time(client, version),
        "customers": len(scores),
        "mean_score": float(scores["churn_probability"].to_numpy().mean()),
    }


@flow(name="walk", flow_run_name="walk {told.policy}", persist_result=False)
def walk(told: BacktestJob) -> list[BacktestStep]:
    """At each step: join outcomes, decide, perhaps train and promote, score.

    Args:
        told: The plan and the policy.
    """
    settings, steps = configure(), list[BacktestStep]()
    (settings.data / SCORES_FOLDER).mkdir(parents=True, exist_ok=True)
    require_applied_task(settings)
    for moment in told.plan.steps:
        steps.append(_step(settings, told, steps, moment))
        Console(highlight=False, soft_wrap=True).print(format_step(steps[-1]), markup=False)
    write_steps(steps, settings.data / STEPS_FILE)
    return steps


def _step(settings: Settings, told: BacktestJob, earlier: list[BacktestStep], moment: datetime) -> BacktestStep:
    start, known_at = time.perf_counter(), told.plan.known_at(moment)
    matured = mature_task(settings, earlier, moment, known_at)
    snapshots_task(settings, moment, known_at)
    customers = customers_task(settings, moment, known_at)
    known = known_task(settings, told, earlier, matured, customers)
    decision = decide(told.policy, known, told.plan.rules)
    training = _trained(settings, told.plan, moment, known_at, decision) if decision.train else None
    return BacktestStep(
        as_of=moment,
        matured=matured,
        train=decision.train,
        why=decision.why,
        training=training,
        **score_task(settings, customers),
        drift=[InputDrift(name=item.name, psi=item.psi) for item in known.drift],
        seconds=round(time.perf_counter() - start, 1),
    )


def _trained(
    settings: Settings, plan: BacktestPlan, moment: datetime, known_at: datetime, decision: TrainingDecision
) -> StepTraining:
    """Training, gates and promotion, as live.

    The online store is filled and compared once: that is evidence about definitions, which do not change on the way,
    and nothing reads it.
    """
    if load_online_state(settings) is None:
        features(moment, known_at)
    try:
        result = train(moment, known_at, plan.training, plan.thresholds)
    except NotEnoughHistoryError as error:
        return StepTraining(problem=str(error))
    made = StepTraining(
        version=result.model_version,
        chosen=result.evaluation.chosen,
        gates_failed=[gate.name for gate in result.gates.failed],
    )
    if not result.gates.passed:
        return made
    try:
        promote(result.model_version, reason=decision.why)
    except PromotionRefusedError as error:
        return made.model_copy(update={"problem": str(error)})
    return made.model_copy(update={"promoted": True})


def main() -> None:
    """What the process of a policy does."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows._cli import expected_errors

    try:
        told = BacktestJob.model_validate_json((load_settings().data / JOB_FILE).read_bytes())
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):  # it costs a second per subflow
            walk(told)
    except expected_errors() as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
