"""Rollout: the challenger from shadow to champion without hands, and back if it is worse. `python -m flows.rollout`"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._approval import request_human_approval
from flows._tasks import task
from flows.model_card import refresh_model_cards
from holdfast.core.errors import ApprovalRefusedError, PromotionRefusedError
from holdfast.rollout.settings import RolloutSettings
from holdfast.runtime.prefect_states import skipped_state

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from holdfast.model_versions.records import RolloutRecord
    from holdfast.rollout.work_queue import Work

_DEPLOYMENT = "rollout/rollout"
_PATIENCE = 60.0  # seconds for which an approved run waits for another that only looks whether there is work
_ASKED = "It is tried out on a growing share of the customers first, and follows the champion if nothing bad shows."


@dataclass(frozen=True)
class _Person:
    """Whether a person is asked, and how long they have.

    ``asked``: the version this run has asked about, if it has. ``again``: also where an earlier request was refused, as
    somebody named the version.
    """

    asks: bool
    timeout: timedelta
    asked: str | None = None
    again: bool = False


@dataclass(frozen=True)
class RolloutResult:
    """How the last rollout at work ended. ``version`` is None where there was nothing to do; ``told`` says why."""

    version: str | None
    verdict: Literal["passed", "breached", "stopped", "nothing"]
    told: str


@task(
    task_run_name="{name}",
    retries=5,
    retry_delay_seconds=[5, 10, 20, 40, 60],
)
def step_task(settings: Settings, name: str, work: "Work", rules: RolloutSettings) -> "RolloutRecord":
    """Begin a step, or go on with it, and watch over it to its end; what the end asks for is done, and told.

    Tried again where the registry does not answer, it goes on where it was.
    """
    from prefect.runtime import flow_run

    from holdfast.alerting.links import current_run_url
    from holdfast.model_versions.aliases import open_registry
    from holdfast.monitoring.skew.open_findings import describe_open_skew
    from holdfast.rollout.notifications import finish_step, notify_unreachable
    from holdfast.rollout.service_metrics import read_service
    from holdfast.rollout.step_monitor import StepDependencies
    from holdfast.rollout.step_runner import run_step
    from holdfast.runtime.endpoints import load_endpoint_settings

    client, url = open_registry(settings), load_endpoint_settings().service_url

    def clock() -> datetime:
        return datetime.now(UTC)

    world = StepDependencies(
        clock=clock,
        sleep=time.sleep,
        look=lambda: read_service(url),
        skew=lambda: describe_open_skew(settings),
        silent=lambda silent: notify_unreachable(settings, work.version, url, silent, clock()),
        flow_run=str(flow_run.id or ""),
    )
    outcome = run_step(client, settings, work, rules, world)
    finish_step(client, settings, work.version, outcome.record, clock(), current_run_url())
    create_table_artifact(outcome.table, key="rollout", description=f"Version {work.version}: {outcome.record.summary}")
    return outcome.record


@task(task_run_name="promote")
def promote_task(settings: Settings, work: "Work", asks: bool) -> None:
    """Move the alias; where a person is asked, on their word about this very version."""
    from holdfast.model_versions.aliases import open_registry
    from holdfast.rollout.notifications import notify_promoted
    from holdfast.rollout.registry_actions import promote_challenger

    promote_challenger(
        open_registry(settings), settings, work, "passed every step of its rollout", datetime.now(UTC), asks
    )
    notify_promoted(work.version, work.champion)


@task(task_run_name="end")
def end_task(settings: Settings, work: "Work", why: str = "") -> "RolloutRecord":
    """End a rollout that cannot go on, or tell the end of one that was killed when it told it."""
    from holdfast.alerting.links import current_run_url
    from holdfast.model_versions.aliases import open_registry
    from holdfast.rollout.notifications import finish_step

    now = datetime.now(UTC)
    record = work.ended(why, now)
    finish_step(open_registry(settings), settings, work.version, record, now, current_run_url())
    return record


def _run_name() -> str:
    from prefect.runtime import flow_run

    return f"rollout of version {flow_run.parameters.get('version') or '(the challenger)'}"


@flow(name="rollout", flow_run_name=_run_name, persist_result=False)
def rollout(
    version: str | None = None,
    approval: Literal["auto", "manual"] = "auto",
    rules: RolloutSettings | None = None,
    timeout_hours: float = 72,
) -> RolloutResult:
    """Take the challenger from shadow over a growing share of the customers to champion; back where it is worse.

    One that was killed goes on first, by the rules it was begun with. Two never work at once: the second ends at once,
    or after a minute where a person has answered it. What is judged is the prediction log, which all replicas on one
    storage share, and /metrics at HOLDFAST_SERVICE_URL, which is one of them.

    Args:
        version: The challenger's number; the challenger when left out. Named, it may be rolled out again.
        approval: auto, or manual: a person is asked before it scores anything.
        rules: Steps, times and limits.
        timeout_hours: How long a person has; no answer is a refusal. Nobody is asked on the same evidence again, unless
            the version is named.
    """
    from filelock import Timeout

    from holdfast.model_versions.aliases import open_registry
    from holdfast.rollout.work_queue import find_work, rollout_lock

    settings = configure()
    client, done, named = open_registry(settings), None, version
    person = _asked_before(settings, client, _Person(approval == "manual", timedelta(hours=timeout_hours)))
    try:
        with rollout_lock(settings, _PATIENCE if person.asked else 0):
            while not isinstance(work := find_work(client, named), str):
                asking = replace(person, again=named is not None)
                result = _roll_out(settings, client, work, asking, rules or RolloutSettings())
                named = None if work.record is None or work.version == version else named  # others go on first
                get_run_logger().info(result.told)
                if result.version is None:
                    told = result.told
                    break
                done = result
                if person.asks and work.record is None:  # a run can ask only once
                    break
            else:
                told = work
    except Timeout:
        told = "Another run of this flow is at work; it, or the next one, takes up what is new."
    if done is not None:
        return done
    get_run_logger().info("Nothing was done: %s", told)
    nothing = RolloutResult(None, "nothing", told)
    return nothing if person.asked else skipped_state(told, nothing)  # an answer was kept


def _asked_before(settings: Settings, client: "MlflowClient", person: _Person) -> _Person:
    """Keep the answer that this run was suspended for, before it looks for work: whatever there is to do by now, the
    answer is about the version that was asked about, and about no other.
    """
    from prefect.runtime import flow_run

    from holdfast.promotion.approval import find_requested_version

    asked = find_requested_version(client, str(flow_run.id)) if person.asks else None
    if asked is None:
        return person
    try:
        request_human_approval(settings, client, asked, _ASKED, person.timeout, _DEPLOYMENT)
    except ApprovalRefusedError as refused:
        get_run_logger().info(str(refused))  # it is on the version now, and ends the rollout like any other no
    return replace(person, asked=asked)


def _roll_out(
    settings: Settings, client: "MlflowClient", work: "Work", person: _Person, rules: RolloutSettings
) -> RolloutResult:
    """One version, from its beginning or from where it was, to its end."""
    from holdfast.rollout.work_queue import describe_pending_approval

    if work.record is not None and not work.record.is_open:
        return _over(settings, work, end_task(settings, work))
    asks = person.asks and work.record is None  # one that goes on was begun with a person, or without
    if work.record is not None:  # killed before it was told, it would be lost: the next step takes its place
        work.record.append_event(client, work.version)
    try:
        if work.record is None:
            if waiting := describe_pending_approval(
                client, work, person.asks, person.asked, person.again, datetime.now(UTC)
            ):
                return RolloutResult(None, "nothing", waiting)
            if person.asks and person.asked is None:
                request_human_approval(settings, client, work.version, _ASKED, person.timeout, _DEPLOYMENT)
            if work.champion is None:
                promote_task(settings, work, asks)
                refresh_model_cards(settings, work.version)
                return RolloutResult(work.version, "passed", f"Version {work.version} is the first champion.")
        while work.step(rules) is not None:
            if work.is_to_be_promoted(rules):
                promote_task(settings, work, asks)
                refresh_model_cards(settings, work.version, work.champion)
            work = work.after(step_task(settings, work.name(rules), work, rules))
    except PromotionRefusedError as refused:
        if work.record is None and not isinstance(refused, ApprovalRefusedError):
            raise  # nothing has begun, nobody has said no
        work = work.after(end_task(settings, work, str(refused)))
    assert work.record is not None
    return _over(settings, work, work.record)


def _over(settings: Settings, work: "Work", record: "RolloutRecord") -> RolloutResult:
    refresh_model_cards(settings, work.version, work.champion if record.step == "watch" else None)
    return RolloutResult(work.version, record.verdict, f"Version {work.version}: {record.summary}.")  # type: ignore[arg-type]


def _show(result: RolloutResult) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(result.told, markup=False)


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(rollout, show=_show)
