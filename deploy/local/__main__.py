"""`make up`: everything on this machine, until Ctrl-C. See README, "Running it"."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from deploy.local.components import environment, parts
from deploy.local.lock import take_lock
from deploy.local.orphans import MARK, end_left_over, end_runs
from deploy.local.ports import require_free
from deploy.local.settings import LocalSettings, load_local_settings
from deploy.local.startup import Watch
from deploy.local.supervisor import Supervisor
from feature_repo.settings import Settings, apply_environment, load_settings
from holdfast.core.errors import HoldfastError

_LOOK_SECONDS = 1.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main() -> int:
    """Keep everything running until a signal; 0 when it was told to end."""
    stop = _on_signals()
    try:
        local, settings = load_local_settings(), load_settings()
        lock = take_lock(settings, local)
        try:
            _keep_running(settings, local, stop)
        finally:
            lock.release()
    except HoldfastError as error:
        sys.stderr.write(f"make up: {error}\n")
        return 1
    return 0


def _keep_running(settings: Settings, local: LocalSettings, stop: threading.Event) -> None:
    found = parts(settings, local)
    if killed := end_left_over(settings.data):
        _tell(f"Ended {killed} processes that an earlier `make up` had left when it was killed.")
    require_free(local, found)
    apply_environment()
    logs = settings.data / "logs"
    told = {**environment(settings, local), MARK: str(settings.data)}
    _tell(f"Starting everything; state in {settings.data}, logs in {logs}")
    if local.host not in _LOOPBACK:
        _tell(
            f"HOLDFAST_HOST={local.host}: who reaches this machine reaches Prefect and MLflow, which ask nobody's name."
        )
    try:
        with Supervisor(found, told, logs) as supervisor:
            watch = Watch(found, supervisor, logs, told["PREFECT_API_URL"], _tell)
            _watch(watch, supervisor, stop, lambda: _tell(f"\nAll of it: {local.url('status')}   (Ctrl-C ends it)\n"))
            watch.close()
            _tell("Ending everything")
            if supervisor.answers() and (worker := supervisor.processes()["worker"].pid):  # 0: there is none
                end_runs(worker)
    finally:
        end_left_over(settings.data)


def _watch(watch: Watch, supervisor: Supervisor, stop: threading.Event, all_there: Callable[[], None]) -> None:
    said = False
    while not stop.wait(_LOOK_SECONDS):
        if not supervisor.answers():
            continue
        watch.look()
        if watch.settled and not said:
            said = True
            all_there()


def _on_signals() -> threading.Event:
    """Set by Ctrl-C, SIGTERM and a closed terminal."""
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, told)
    return stop


def _tell(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:  # the terminal is gone; ending goes on
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115


if __name__ == "__main__":
    sys.exit(main())
