"""Files in which the processes of the service share their metrics, one per kind of metric and process.

Import prometheus_client only inside of these functions: it decides at its import whether values are shared between
processes, and BentoML sets that variable while it starts.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.settings import prometheus_folder


def remove_ended_processes() -> None:
    """Remove the gauges of processes that were killed: one that ended unready would keep ``ready`` at 0."""
    from prometheus_client.multiprocess import mark_process_dead

    folder = prometheus_folder()
    for file in folder.glob("gauge_live*_*.db") if folder else ():
        pid = file.stem.rpartition("_")[2]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another process that starts removes the same files
                mark_process_dead(pid)


def skip_empty_files() -> None:
    """Make /metrics ignore files without content.

    A process creates a file and gives it a size in two steps. prometheus_client fails at a file between the two, which
    would be each request for /metrics if the process was killed there or the disk was full.
    """
    if prometheus_folder() is None:
        return
    from prometheus_client.multiprocess import MultiProcessCollector

    merge = MultiProcessCollector.merge

    def merge_filled(files: Iterable[str], accumulate: bool = True) -> Any:
        return merge([file for file in files if not is_empty(Path(file))], accumulate)

    MultiProcessCollector.merge = staticmethod(merge_filled)  # type: ignore[method-assign]


def is_empty(file: Path) -> bool:
    """Check whether a file has no content yet.

    Args:
        file: File of a process.

    Returns:
        True if it is empty; False if it has content or was removed, which prometheus_client expects.
    """
    try:
        return file.stat().st_size == 0
    except FileNotFoundError:
        return False
