"""Backtest of one policy in its own data folder; flows.backtest starts this module as a process."""

import time
from datetime import datetime

from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from rich.console import Console

from feature_repo.settings import Settings
from flows import configure
from flows._backtest import (
    find_matured_task,
    load_customers_task,
    load_policy_inputs_task,
    score_step_task,
)
from flows._cli import expected_flow_errors
from flows._training import find_definitions_task
from flows.features import features, snapshots_task
from flows.promote import promote
from flows.train import train
from holdfast.backtesting.console_tables import format_step
from holdfast.backtesting.paths import JOB_FILE, SCORES_FOLDER, STEPS_FILE
from holdfast.backtesting.plan import BacktestJob, BacktestPlan
from holdfast.backtesting.policies import TrainingDecision, decide
from holdfast.backtesting.results import BacktestStep, InputDrift, StepTraining, write_steps
from holdfast.core.errors import PromotionRefusedError
from holdfast.feature_store.materialization import load_online_state
from holdfast.models.declaration import load_declaration
from holdfast.runtime.cli_errors import exit_on_expected_error
from holdfast.training.time_split import NotEnoughHistoryError


@flow(name="replay policy", flow_run_name="replay {job.policy}", persist_result=False)
def replay_policy(job: BacktestJob) -> list[BacktestStep]:
    """At each step of the plan: find matured cohorts, decide, train and promote where the policy trains, score.

    Args:
        job: Plan and policy.
    """
    settings, steps = configure(), list[BacktestStep]()
    (settings.data / SCORES_FOLDER).mkdir(parents=True, exist_ok=True)
    definitions = find_definitions_task(settings, None)
    for as_of in job.plan.steps:
        steps.append(_run_step(settings, job, definitions, steps, as_of))
        Console(highlight=False, soft_wrap=True).print(format_step(steps[-1]), markup=False)
    write_steps(steps, settings.data / STEPS_FILE)
    return steps


def _run_step(
    settings: Settings, job: BacktestJob, definitions: str, earlier: list[BacktestStep], as_of: datetime
) -> BacktestStep:
    start, known_at = time.perf_counter(), job.plan.known_at(as_of)
    matured = find_matured_task(settings, job.plan.model, earlier, as_of, known_at)
    snapshots_task(settings, definitions, as_of, known_at)
    customers = load_customers_task(settings, job.plan.model, definitions, as_of, known_at)
    inputs = load_policy_inputs_task(settings, job, earlier, matured, customers)
    decision = decide(job.policy, inputs, job.plan.rules)
    training = _train(settings, job.plan, definitions, as_of, known_at, decision) if decision.train else None
    return BacktestStep(
        as_of=as_of,
        matured=matured,
        train=decision.train,
        why=decision.why,
        training=training,
        **score_step_task(settings, job.plan.model, customers),
        drift=[InputDrift(name=item.name, psi=item.psi) for item in inputs.drift],
        seconds=round(time.perf_counter() - start, 1),
    )


def _train(
    settings: Settings,
    plan: BacktestPlan,
    definitions: str,
    as_of: datetime,
    known_at: datetime,
    decision: TrainingDecision,
) -> StepTraining:
    """Train, evaluate gates and promote as in production.

    The online store is filled and compared only once: parity is evidence about the definitions, which do not change
    during a backtest, and nothing reads the online store.
    """
    if load_online_state(settings, definitions) is None:
        features(as_of, known_at)
    try:
        thresholds = plan.thresholds if load_declaration(plan.model).kind == "classification" else None
        result = train(as_of, known_at, plan.training, thresholds, model=plan.model)
    except NotEnoughHistoryError as error:
        return StepTraining(problem=str(error))
    training = StepTraining(
        version=result.model_version,
        chosen=result.evaluation.chosen,
        gates_failed=result.gates.failed,
    )
    if not result.gates.passed:
        return training
    try:
        promote(result.model_version, reason=decision.why, model=plan.model)
    except PromotionRefusedError as error:
        return training.model_copy(update={"problem": str(error)})
    return training.model_copy(update={"promoted": True})


def main() -> None:
    """Run the job of the data folder."""
    with exit_on_expected_error(expected_flow_errors):
        job = BacktestJob.model_validate_json((Settings.from_environment().data / JOB_FILE).read_bytes())
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):  # heartbeats cost a second per subflow
            replay_policy(job)


if __name__ == "__main__":
    main()
