"""Processes that outlive those that started them: a run of a killed worker, a service's workers."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

# Every process that a `make up` starts, and what those start, has its data folder in this variable.
MARK = "HOLDFAST_UP"
# And in this one the part that it is of, if that is a server.
PART = "HOLDFAST_UP_PART"
_POLITE_SECONDS = 3.0


def left_over(data: Path, part: str | None = None) -> list[psutil.Process]:
    """What still runs of a `make up` on ``data``, or of one part; not this process and those it descends from."""
    return list(_left_over(data, part))


def end_runs(worker: int) -> None:
    """Tell the runs of a worker to end while there is a server that they can tell so, and wait a little."""
    try:
        runs = psutil.Process(worker).children(recursive=True)
    except psutil.Error:
        return
    _signal(runs, kill=False)
    psutil.wait_procs(runs, timeout=_POLITE_SECONDS)


def end_left_over(data: Path, part: str | None = None) -> int:
    """End them, and what they start meanwhile; how many there were."""
    ended: set[int] = set()
    for _ in range(3):
        found = left_over(data, part)
        if not found:
            break
        ended |= {process.pid for process in found}
        _signal(found, kill=False)
        _, alive = psutil.wait_procs(found, timeout=_POLITE_SECONDS)
        _signal(alive, kill=True)
        psutil.wait_procs(alive, timeout=_POLITE_SECONDS)
    return len(ended)


def _left_over(data: Path, part: str | None) -> Iterator[psutil.Process]:
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid in own or process.status() == psutil.STATUS_ZOMBIE:
                continue
            told = process.environ()
            if told.get(MARK) == str(data) and part in (None, told.get(PART)):
                yield process
        except (psutil.Error, OSError):  # it has just ended, or is another user's
            continue


def _signal(processes: list[psutil.Process], kill: bool) -> None:
    for process in processes:
        try:
            process.kill() if kill else process.terminate()
        except psutil.Error:
            continue


def main() -> None:
    """End what the part of that name has left in this data folder, and become the command."""
    name, *command = sys.argv[1:]
    if killed := end_left_over(Path(os.environ[MARK]), name):
        sys.stderr.write(f"Ended {killed} processes that an earlier {name} had left.\n")
    os.environ[PART] = name
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
