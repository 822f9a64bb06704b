"""Run all components on this machine until Ctrl-C: `make up`. See README, "Operate"."""

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

from deploy.local.components import component_environment, list_components
from deploy.local.lock import acquire_lock
from deploy.local.orphans import DATA_VARIABLE, terminate_flow_runs, terminate_orphans
from deploy.local.pages_file import write_pages_file
from deploy.local.ports import require_free_ports
from deploy.local.settings import LocalSettings
from deploy.local.startup import StartupMonitor
from deploy.local.supervisor import Supervisor, SupervisorError
from feature_repo.private_files import restrict_new_files
from feature_repo.settings import Settings, apply_environment
from holdfast.core.errors import HoldfastError
from holdfast.runtime.prefect_access import CLIENT_PASSWORD

_POLL_SECONDS = 1.0


def main() -> int:
    """Run all components until a signal; returns the exit status."""
    stop = _stop_on_signals()
    restrict_new_files()
    try:
        local, settings = LocalSettings.from_environment(), Settings.from_environment()
        local.require_authentication(os.environ)
        lock = acquire_lock(settings, local)
        try:
            _run(settings, local, stop)
        finally:
            lock.release()
    except HoldfastError as error:
        sys.stderr.write(f"make up: {error}\n")
        return 1
    return 0


def _run(settings: Settings, local: LocalSettings, stop: threading.Event) -> None:
    components = list_components(settings, local)
    if count := terminate_orphans(settings.data):
        _report(f"Terminated {count} orphaned processes of an earlier `make up`.")
    require_free_ports(local, components)
    apply_environment()
    logs = settings.data / "logs"
    environment = {**component_environment(settings, local), DATA_VARIABLE: str(settings.data)}
    pages = write_pages_file(settings, components, environment)
    _report(f"Starting all components; data in {settings.data}, logs in {logs}")
    try:
        with Supervisor(components, environment, logs) as supervisor:
            monitor = StartupMonitor(
                components, supervisor, logs, local.url("prefect"), environment[CLIENT_PASSWORD], _report
            )
            final_message = (
                f"\nStatus page: {local.url('status')}   (Ctrl-C ends all components)\n"
                f"All pages, signed in: {pages.as_uri()}\n"
            )
            _monitor(monitor, supervisor, stop, final_message)
            _report("Ending all components")
            # Ctrl-C in the instant before Supervisor has a session of its own ends Supervisor too.
            with suppress(SupervisorError):
                if supervisor.is_ready() and (worker := supervisor.processes()["worker"].pid):  # 0: no process
                    terminate_flow_runs(worker)
    finally:
        terminate_orphans(settings.data)


def _monitor(monitor: StartupMonitor, supervisor: Supervisor, stop: threading.Event, final_message: str) -> None:
    reported = False
    while not stop.wait(_POLL_SECONDS):
        if not supervisor.is_ready():
            continue
        monitor.poll()
        if monitor.is_done and not reported:
            reported = True
            _report(final_message)


def _stop_on_signals() -> threading.Event:
    """Create an event that is set by Ctrl-C, SIGTERM and a closed terminal."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    return stop


def _report(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:  # the terminal is closed; ending goes on
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115


if __name__ == "__main__":
    sys.exit(main())
