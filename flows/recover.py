"""Recover: reports of failed runs, repetition of crashed ones. `python -m flows.recover [--flow-run-id ID]`."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_table
from flows._cli import run_flow
from flows._tasks import task
from holdfast.alerting.delivery import deliver_now
from holdfast.alerting.outbox import add_alert
from holdfast.alerting.run_alerts import build_run_alert
from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_count
from holdfast.recovery import actions
from holdfast.recovery.policy import RunStatus, decide_action, heartbeat_wait
from holdfast.recovery.settings import RecoverRules
from holdfast.reporting.flow_results import RecoveredRun

_PREFIX = "prefect.flow-run."  # events name a run by this and its id


class UnknownRunError(HoldfastError):
    """Prefect's server has no such flow run."""


@task(name="find runs")
def find_runs_task(flow_run_id: str | None, rules: RecoverRules) -> list[RunStatus]:
    """Read the status of one run, or of all runs that may need an action."""
    with get_client(sync_client=True) as client:
        if not flow_run_id:
            return actions.find_suspect_runs(client, datetime.now(UTC) - timedelta(hours=rules.look_back_hours))
        try:
            return [actions.read_run_status(client, flow_run_id.removeprefix(_PREFIX))]
        except (ObjectNotFound, ValueError) as error:
            raise UnknownRunError(f"The Prefect server knows no flow run {flow_run_id}: {error}") from error


@task(name="mark dead runs")
def mark_dead_task(
    silent: Sequence[RunStatus], rules: RecoverRules, heartbeat_seconds: float | None
) -> list[RecoveredRun]:
    """Mark runs without another heartbeat after one more interval, as a stopped server may have missed some."""
    time.sleep(heartbeat_wait(silent, heartbeat_seconds))
    with get_client(sync_client=True) as client:
        marked = actions.mark_dead_runs(client, silent, rules, heartbeat_seconds, datetime.now(UTC))
    return [RecoveredRun(run.id, run.deployment or "", state) for run, state in marked]


@task(name="handle run", task_run_name="handle run of {run.deployment}")
def handle_run_task(settings: Settings, run: RunStatus, repeat: bool) -> RecoveredRun:
    """Repeat the run if it may be repeated, raise an alert and, last, mark the run as handled."""
    with get_client(sync_client=True) as client:
        actions.mark_subflows_crashed(client, run.id)
        next_id = actions.schedule_repeat(client, run, settings.clock == "wall") if repeat else ""
        alert = build_run_alert(run, next_id)
        add_alert(settings, alert, datetime.now(UTC), "runs")
        deliver_now(settings)
        actions.mark_handled(client, run)
    return RecoveredRun(run.id, run.deployment or "", "repeated" if repeat else "reported")


@flow(name="recover", flow_run_name="recover", persist_result=False)
def recover(flow_run_id: str | None = None, rules: RecoverRules | None = None) -> list[RecoveredRun]:
    """Handle a flow run that failed or crashed, or all such runs of the last day.

    A run whose process died is marked as crashed. A crashed run is repeated with the same parameters if its deployment
    may be repeated. A failed run would fail again: it is reported as an alert and not repeated.

    Args:
        flow_run_id: The run, as its id or as an event names it; all runs that need an action when left out.
        rules: Which deployments may be repeated, how often, and when a run counts as dead.
    """
    settings, rules = configure(), rules or RecoverRules()
    heartbeat_seconds = get_current_settings().flows.heartbeat_frequency
    runs = find_runs_task(flow_run_id, rules)
    decisions = [(run, decide_action(run, rules, datetime.now(UTC), heartbeat_seconds)) for run in runs]
    done: list[RecoveredRun] = []
    problem = None
    for run, action in decisions:
        if action in ("repeat", "report"):
            try:
                done.append(handle_run_task(settings, run, action == "repeat"))
            except Exception as error:  # a run that cannot be handled must not delay the others
                get_run_logger().error("%s of %s: %s", run.id, run.deployment, error)
                problem = error
    if silent := [run for run, action in decisions if action == "mark dead"]:
        done += mark_dead_task(silent, rules, heartbeat_seconds)
    if done:
        rows = [{"run": item.run, "deployment": item.deployment, "done": item.done} for item in done]
        publish_table(rows, key="recovered", description=f"{format_count(len(done), 'run')} handled")
    get_run_logger().info("%s found, %d handled", format_count(len(runs), "run"), len(done))
    if problem is not None:
        raise problem
    return done


def _print_runs(done: list[RecoveredRun]) -> None:
    import typer

    for item in done:
        typer.echo(f"{item.done:9}  {item.deployment or 'a run without a deployment'}  {item.run}")
    if not done:
        typer.echo("No run needs an action.")


if __name__ == "__main__":
    run_flow(recover, show=_print_runs)
