"""Recover: tell of runs that failed; end those whose process died, and run them again. `python -m flows.recover`"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._tasks import task
from holdfast.core.errors import HoldfastError
from holdfast.monitoring.findings import Severity
from holdfast.recovery.settings import RecoverRules

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from holdfast.alerting.alert import Alert
    from holdfast.recovery.policy import RunStatus

_PREFIX = "prefect.flow-run."  # how an event names a run
_WATCHERS = ("daily", "ingest", "features", "score", "monitor", "rollout", "alerts", "recover")


class UnknownRunError(HoldfastError):
    """Prefect's server has no such flow run."""


@dataclass(frozen=True)
class Recovered:
    """What was done about which run: crashed or cancelled (marked), again (scheduled anew), or told."""

    run: str
    deployment: str
    done: str


@task(name="look")
def look_task(flow_run_id: str | None, rules: RecoverRules) -> "list[RunStatus]":
    """The run, or all that something may be wrong with."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from holdfast.recovery.flow_runs import find_suspect_runs, read_flow_runs, run_status

    with get_client(sync_client=True) as client:
        try:
            if flow_run_id:
                return [run_status(client, run) for run in read_flow_runs(client, [flow_run_id.removeprefix(_PREFIX)])]
        except (ObjectNotFound, ValueError) as error:
            raise UnknownRunError(f"{flow_run_id} is no flow run that this server knows: {error}") from error
        since = datetime.now(UTC) - timedelta(hours=rules.look_back_hours)
        return [run_status(client, run) for run in find_suspect_runs(client, since)]


@task(name="mark the dead")
def mark_task(silent: "Sequence[RunStatus]", rules: RecoverRules, beat: float | None) -> list[Recovered]:
    """Listen for one more heartbeat: a server that was down has missed some. Who is silent then is dead."""
    from prefect.client.orchestration import get_client

    from holdfast.recovery.flow_runs import mark_ended, read_flow_runs, run_status
    from holdfast.recovery.policy import decide_action

    if beat and any(run.state != "PENDING" for run in silent):
        time.sleep(beat + 5)
    marked = []
    with get_client(sync_client=True) as client:
        for run in [run_status(client, item) for item in read_flow_runs(client, [item.id for item in silent])]:
            if decide_action(run, rules, datetime.now(UTC), beat) == "mark dead":
                last = run.last_heartbeat or run.since
                said = f"Its process is gone: nothing was heard of it since {last:%H:%M:%S} UTC."
                marked.append(Recovered(run.id, run.deployment or "", mark_ended(client, run, said)))
    return marked


@task(name="see to", task_run_name="see to {run.deployment}")
def see_to_task(settings: Settings, run: "RunStatus", again: bool) -> Recovered:
    """Run it again if it may, and tell; last, note that it is done."""
    from prefect.client.orchestration import get_client

    from holdfast.alerting.delivery import deliver_now
    from holdfast.alerting.outbox import add_alert
    from holdfast.recovery.flow_runs import mark_handled, mark_subflows_crashed, schedule_repeat

    with get_client(sync_client=True) as client:
        mark_subflows_crashed(client, run)
        next_id = str(schedule_repeat(client, run, settings.clock == "wall").id) if again else ""
        add_alert(settings, _alert(client, run, next_id), datetime.now(UTC), "runs")
        deliver_now(settings)
        mark_handled(client, run)
    return Recovered(run.id, run.deployment or "", "again" if again else "told")


@flow(name="recover", flow_run_name="recover", persist_result=False)
def recover(flow_run_id: str | None = None, rules: RecoverRules | None = None) -> list[Recovered]:
    """See to a flow run that did not end well, or to all of the last day: killed ones are marked, and run again.

    A crash is the fate of a process, so what may be repeated runs again with the same parameters. A failure is an
    answer: running again would fail again, so somebody is told.

    Args:
        flow_run_id: The run, as its id or as an event names it; all that somebody should see to when left out.
        rules: Which may run again, how often, and when one counts as dead.
    """
    from prefect.settings import get_current_settings

    from holdfast.recovery.policy import decide_action

    settings, rules = configure(), rules or RecoverRules()
    beat = get_current_settings().flows.heartbeat_frequency
    runs = look_task(flow_run_id, rules)
    todo = [(run, decide_action(run, rules, datetime.now(UTC), beat)) for run in runs]
    done, problem = [], None
    for run, what in todo:
        if what in ("run again", "tell"):
            try:
                done.append(see_to_task(settings, run, what == "run again"))
            except Exception as error:  # one that cannot be seen to must not keep the others waiting
                get_run_logger().error("%s of %s: %s", run.id, run.deployment, error)
                problem = error
    if silent := [run for run, what in todo if what == "mark dead"]:
        done += mark_task(silent, rules, beat)
    if done:
        rows = [{"run": item.run, "deployment": item.deployment, "done": item.done} for item in done]
        create_table_artifact(rows, key="recovered", description=f"{len(done)} run(s) seen to")
    get_run_logger().info("%d run(s) looked at, %d seen to", len(runs), len(done))
    if problem is not None:
        raise problem
    return done


def _alert(client: "SyncPrefectClient", run: "RunStatus", next_id: str) -> "Alert":
    from uuid import UUID

    from holdfast.alerting.alert import Alert
    from holdfast.alerting.links import run_url

    flow_run = client.read_flow_run(UUID(run.id))
    said = (flow_run.state.message if flow_run.state else None) or "no message"
    about = run.deployment or flow_run.name
    text = f"Run {flow_run.name} of {about}: {said[:500]}"
    if run.state == "FAILED":
        severity: Severity = "critical" if run.deployment in _WATCHERS else "warning"
        return Alert.for_subject("holdfast.run.failed", about, severity, text, run_url(run.id))
    if next_id:  # the name it has now it changes when it begins
        text += f" It runs again, repeat {run.attempt + 1}: {run_url(next_id)}"
        return Alert.for_subject("holdfast.run.crashed", about, "warning", text, run_url(run.id))
    text += (
        f" It does not run again by itself: {'it was repeated often enough' if run.attempt else 'nobody repeats it'}."
    )
    return Alert.for_subject("holdfast.run.crashed", about, "critical", text, run_url(run.id))


def _show(done: list[Recovered]) -> None:
    import typer

    for item in done:
        typer.echo(f"{item.done:9}  {item.deployment or 'a run without a deployment'}  {item.run}")
    if not done:
        typer.echo("No run needs anything.")


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(recover, show=_show)
