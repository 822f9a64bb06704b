"""Runs a simulation in a process of its own: nothing of this one's state, servers and clocks reaches it."""

from collections.abc import Callable
from pathlib import Path

from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import last_lines, listening
from simulations.job_spec import LOG, Told, tell
from simulations.limited_disk import namespace
from simulations.workspace import Place, tool


class SimulationFailedError(HoldfastError):
    """The process of a simulation ended without an outcome."""


def run_process(state: Path, told: Told, say: Callable[[str], None]) -> None:
    """Do in ``state`` what is told; each line that is printed is said.

    Raises:
        SimulationFailedError: It failed; holds the end of its log.
    """
    tell(state, told)
    where, log = Place(state, told.store), state / LOG
    command = [*(namespace() if told.disk_mb else []), *tool("python", "-m", "simulations.worker", str(state))]
    status = listening(command, where.environment(HOLDFAST_DATA=str(where.data)), log, where.source, say)
    if status:
        raise SimulationFailedError(f"The simulation ended with status {status}. {last_lines(log)}")
