"""Startup of the components in order, with messages about their states."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.components import POOL, WORKER, Component
from deploy.local.supervisor import RETRIES, SupervisedProcess, Supervisor
from holdfast.runtime.processes import health_problem

_LOG_LINES = 12
_MAX_CHARACTERS = 300


@dataclass
class _State:
    """Last reported state of a component; ``pid`` is 0 before the first start."""

    pid: int = 0
    started: bool = False
    ready: bool = False
    waiting: bool = False
    failed: bool = False


class StartupMonitor:
    """Startup of components, driven by repeated calls of :meth:`poll`, which never waits for a component.

    Args:
        components: Components, each after those that it requires.
        supervisor: Running Supervisor.
        logs: Folder of the components' logs.
        prefect: Address of Prefect's server.
        password: Password of its API.
        report: Called with each message.
    """

    def __init__(
        self,
        components: list[Component],
        supervisor: Supervisor,
        logs: Path,
        prefect: str,
        password: str,
        report: Callable[[str], None],
    ) -> None:
        self._components, self._supervisor, self._logs, self._report = components, supervisor, logs, report
        self._states = {component.name: _State() for component in components}
        self._width = max(len(component.name) for component in components)
        self._prefect, self._password = prefect, password

    @property
    def is_done(self) -> bool:
        """Return True when each component is ready, waits for an event, or has failed."""
        return all(state.ready or state.waiting or state.failed for state in self._states.values())

    def poll(self) -> None:
        """Start the components whose requirements are ready, and report changed states."""
        processes = self._supervisor.processes()
        for component in self._components:
            state = self._states[component.name]
            if state.started:
                self._update(component, state, processes[component.name])
            elif all(self._states[name].ready for name in component.requires):
                self._supervisor.start(component)
                state.started = True
            elif failed := [name for name in component.requires if self._states[name].failed]:
                state.started = state.failed = True
                self._report_state(component, f"is not started, because it requires {', '.join(failed)}")

    def _update(self, component: Component, state: _State, process: SupervisedProcess) -> None:
        if state.failed:
            state.failed = not process.is_running  # a user may have started the component again
        elif process.state == "FATAL" or (
            component.one_shot and process.state == "EXITED" and process.exit_status != 0
        ):
            state.ready, state.failed = False, True
            attempts = "" if component.one_shot else f" {RETRIES + 1} times; it is not started any more"
            self._report_state(
                component,
                f"ended{attempts}. The last lines of {self._logs / component.name}.log:\n{self._log_tail(component)}",
            )
        elif component.one_shot and process.state == "EXITED" and not state.ready:
            state.ready = True
            self._report_state(component, "done")
        elif not component.one_shot and process.is_running:
            self._update_server(component, state, process)

    def _update_server(self, component: Component, state: _State, process: SupervisedProcess) -> None:
        if state.pid and process.pid != state.pid:
            state.ready = False
            self._report_state(
                component, f"had ended, and is started again (reason: {self._logs / component.name}.log)"
            )
        state.pid = process.pid
        if not state.ready and self._is_ready(component, process):
            state.ready = True
            state.waiting = False
            self._report_state(component, component.page or "ready")
        elif (
            not state.ready
            and not state.waiting
            and component.waiting_message
            and component.waiting_message in self._log_tail(component, 1)
        ):
            state.waiting = True
            self._report_state(component, f"{component.waiting_message}; address once there is one: {component.page}")

    def _is_ready(self, component: Component, process: SupervisedProcess) -> bool:
        if component.health is None:
            return self._has_heartbeat(process.started)
        return health_problem(component.health) is None

    def _has_heartbeat(self, since: float) -> bool:
        """Check whether Prefect's server received a heartbeat of the worker after a Unix time."""
        from holdfast.runtime.flow_runs import PrefectUnavailableError, list_workers, open_client

        try:
            with open_client(self._prefect, 3, self._password) as client:
                workers = list_workers(client, POOL)
        except PrefectUnavailableError:
            return False
        heartbeats = [worker.last_heartbeat_time for worker in workers if worker.name == WORKER]
        return any(heartbeat is not None and heartbeat.timestamp() >= since for heartbeat in heartbeats)

    def _log_tail(self, component: Component, count: int = _LOG_LINES) -> str:
        try:
            lines = (self._logs / f"{component.name}.log").read_text(errors="replace").splitlines()
        except OSError:
            lines = ["(there is no log)"]
        return "\n".join(f"    {line[:_MAX_CHARACTERS]}" for line in lines[-count:])

    def _report_state(self, component: Component, message: str) -> None:
        self._report(f"{component.name:<{self._width}}  {message}")
