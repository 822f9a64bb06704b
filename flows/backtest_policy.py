"""Walk: one policy through the past, in a data folder of its own. `flows.backtest` starts it as a process."""

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from rich.console import Console

from feature_repo.settings import Settings, load_settings
from flows.features import features, snapshots_task
from flows.promote import PromotionRefusedError, promote
from flows.train import applied_task, train
from holdfast.backtesting.console_tables import step_line
from holdfast.backtesting.paths import SCORES, STEPS, WALK
from holdfast.backtesting.plan import Plan, Walk
from holdfast.backtesting.policies import Decision, Known, decide
from holdfast.backtesting.results import InputDrift, Step, Training, write_steps
from holdfast.feature_store.materialization import online_state
from holdfast.training.time_split import NotEnoughHistoryError

if TYPE_CHECKING:
    from holdfast.batch_scoring.population import Customers

_IN_MEMORY: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


@task(name="mature cohorts", **_IN_MEMORY)
def mature_task(settings: Settings, earlier: list[Step], as_of: datetime, known_at: datetime) -> list[datetime]:
    """Earlier cohorts whose outcomes have become known since the step before."""
    from holdfast.backtesting.policy_inputs import newly_mature

    return newly_mature(settings, earlier, as_of, known_at)


@task(name="active customers", **_IN_MEMORY)
def customers_task(settings: Settings, as_of: datetime, known_at: datetime) -> "Customers":
    """Whom to score, and their features."""
    from holdfast.batch_scoring.population import active_customers

    return active_customers(settings, as_of, known_at)


@task(name="what is known", **_IN_MEMORY)
def known_task(
    settings: Settings, told: Walk, earlier: list[Step], matured: list[datetime], customers: "Customers"
) -> Known:
    """What the policy decides by; what only other policies look at is not computed."""
    from holdfast.backtesting.policy_inputs import drift_since_training, latest_mature, measure
    from holdfast.batch_scoring.champion_model import load_champion
    from holdfast.batch_scoring.scores_table import read_scores, scores_path
    from holdfast.model_versions.aliases import champion_version
    from holdfast.training.mlflow_tracking import open_mlflow

    client = open_mlflow(settings)
    champion, count = champion_version(client), len(customers.ids)
    if champion is None:
        return Known(None, count)
    if told.policy == "drift":
        return Known(champion, count, drift_since_training(client, settings, load_champion(settings), customers))
    if told.policy == "decay" and (cohort := latest_mature(earlier, matured, champion)):
        scored = read_scores(scores_path(settings.data / SCORES, cohort))
        known_at = told.plan.known_at(customers.as_of)
        return Known(champion, count, [], measure(client, settings, scored, cohort, known_at, told.plan.training))
    return Known(champion, count)


@task(name="score", **_IN_MEMORY)
def score_task(settings: Settings, customers: "Customers") -> dict[str, Any]:
    """The champion's word on every customer, kept as Parquet; what the step's record says of it."""
    from holdfast.backtesting.policy_inputs import trained_as_of
    from holdfast.batch_scoring.champion_model import load_champion
    from holdfast.batch_scoring.scores_table import scores_path, scores_table, write_scores
    from holdfast.model_versions.aliases import champion_version
    from holdfast.training.mlflow_tracking import open_mlflow

    client = open_mlflow(settings)
    version = champion_version(client)
    if version is None:
        return {"champion": None, "champion_as_of": None, "customers": 0, "mean_score": None}
    scores = scores_table(customers, load_champion(settings))
    write_scores(scores, scores_path(settings.data / SCORES, customers.as_of))
    return {
        "champion": version,
        "champion_as_of": trained_as_of(client, version),
        "customers": len(scores),
        "mean_score": float(scores["churn_probability"].to_numpy().mean()),
    }


@flow(name="walk", flow_run_name="walk {told.policy}", persist_result=False)
def walk(told: Walk) -> list[Step]:
    """At each step: join outcomes, decide, perhaps train and promote, score.

    Args:
        told: The plan and the policy.
    """
    settings, steps = load_settings(), list[Step]()
    (settings.data / SCORES).mkdir(parents=True, exist_ok=True)
    applied_task(settings)
    for moment in told.plan.steps:
        steps.append(_step(settings, told, steps, moment))
        Console(highlight=False, soft_wrap=True).print(step_line(steps[-1]), markup=False)
    write_steps(steps, settings.data / STEPS)
    return steps


def _step(settings: Settings, told: Walk, earlier: list[Step], moment: datetime) -> Step:
    start, known_at = time.perf_counter(), told.plan.known_at(moment)
    matured = mature_task(settings, earlier, moment, known_at)
    snapshots_task(settings, moment, known_at)
    customers = customers_task(settings, moment, known_at)
    known = known_task(settings, told, earlier, matured, customers)
    decision = decide(told.policy, known, told.plan.rules)
    training = _trained(settings, told.plan, moment, known_at, decision) if decision.train else None
    return Step(
        as_of=moment,
        matured=matured,
        train=decision.train,
        why=decision.why,
        training=training,
        **score_task(settings, customers),
        drift=[InputDrift(name=item.name, psi=item.psi) for item in known.drift],
        seconds=round(time.perf_counter() - start, 1),
    )


def _trained(settings: Settings, plan: Plan, moment: datetime, known_at: datetime, decision: Decision) -> Training:
    """Training, gates and promotion, as live.

    The online store is filled and compared once: that is evidence about definitions, which do not change on the way,
    and nothing reads it.
    """
    if online_state(settings) is None:
        features(moment, known_at)
    try:
        result = train(moment, known_at, plan.training, plan.thresholds)
    except NotEnoughHistoryError as error:
        return Training(problem=str(error))
    made = Training(
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

    from flows._cli import EXPECTED_ERRORS
    from holdfast.runtime.processes import end_with_parent

    end_with_parent()
    try:
        told = Walk.model_validate_json((load_settings().data / WALK).read_bytes())
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):  # it costs a second per subflow
            walk(told)
    except EXPECTED_ERRORS as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
