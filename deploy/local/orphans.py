"""Orphaned processes: a flow run of a killed worker, workers of a killed service."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from feature_repo.settings import Settings
from holdfast.runtime.processes import apply_to_processes, terminate_processes

# Markers in the environment of processes and their descendants, not settings: the data folder of the `make up`
DATA_VARIABLE = "HOLDFAST_UP"
# and the name of the component.
COMPONENT_VARIABLE = "HOLDFAST_UP_PART"
_TERMINATE_SECONDS = 3.0


def terminate_flow_runs(worker: int) -> None:
    """Terminate the flow runs of a worker while Prefect's server can still record their end.

    Args:
        worker: Process id of the worker.
    """
    try:
        runs = psutil.Process(worker).children(recursive=True)
    except psutil.Error:
        return
    apply_to_processes(runs, psutil.Process.terminate)
    psutil.wait_procs(runs, timeout=_TERMINATE_SECONDS)


def terminate_orphans(data: Path, component: str | None = None) -> int:
    """Terminate the processes of an earlier `make up`, and processes that they start meanwhile.

    Args:
        data: Data folder of the `make up`.
        component: Name of a component; None: all.

    Returns:
        Number of processes.
    """
    terminated: set[int] = set()
    for _ in range(3):
        orphans = list(find_orphans(data, component))
        if not orphans:
            break
        terminated |= {process.pid for process in orphans}
        terminate_processes(orphans, _TERMINATE_SECONDS)
    return len(terminated)


def find_orphans(data: Path, component: str | None = None) -> Iterator[psutil.Process]:
    """Find the processes of a `make up`, except this process and its ancestors.

    Args:
        data: Data folder of the `make up`.
        component: Name of a component; None: all.

    Yields:
        The processes.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid in own or process.status() == psutil.STATUS_ZOMBIE:
                continue
            variables = process.environ()
            if variables.get(DATA_VARIABLE) == str(data) and component in (None, variables.get(COMPONENT_VARIABLE)):
                yield process
        except (psutil.Error, OSError):  # the process has ended, or belongs to another user
            continue


def main() -> None:
    """Terminate orphans of a component, then become the component's command."""
    name, *command = sys.argv[1:]
    if count := terminate_orphans(Settings.from_environment().data, name):
        sys.stderr.write(f"Terminated {count} orphaned processes of an earlier {name}.\n")
    os.environ[COMPONENT_VARIABLE] = name
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
