"""Runs a simulation in a process of its own: nothing of this one's state, servers and clocks reaches it."""

from collections.abc import Callable
from pathlib import Path

from flows.simulation.disk import namespace
from flows.simulation.place import Place, tool
from flows.simulation.told import LOG, Told, tell
from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import last_lines, listening


class SimulationFailedError(HoldfastError):
    """The process of a simulation ended without an outcome."""


def run_process(state: Path, told: Told, say: Callable[[str], None]) -> None:
    """Do in ``state`` what is told; each line that is printed is said.

    Raises:
        SimulationFailedError: It failed; holds the end of its log.
    """
    tell(state, told)
    where, log = Place(state, told.store), state / LOG
    command = [*(namespace() if told.disk_mb else []), *tool("python", "-m", "flows.simulation.main", str(state))]
    status = listening(command, where.environment(HOLDFAST_DATA=str(where.data)), log, where.source, say)
    if status:
        raise SimulationFailedError(f"The simulation ended with status {status}. {last_lines(log)}")
