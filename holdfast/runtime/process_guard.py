"""Runs a command, and ends all that it started as soon as whoever holds this process's standard input is gone.

Run by path, as `holdfast.runtime.processes` does: it imports nothing of Holdfast, so that it is there at once.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import psutil

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux
_POLITE_SECONDS = 10.0


def main(command: list[str]) -> int:
    """The exit status of the command; 128 and more: the signal that ended it, less 128."""
    if sys.platform == "linux":  # what outlives its parent becomes our child, where it can be found
        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: threading.Thread(target=_end, args=(child,)).start())
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    status = child.wait()
    _kill(_descendants())
    return status if status >= 0 else 128 - status


def _watch(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1):  # nothing is ever written
        pass
    _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Ask the command to end; what is left after a while is killed."""
    if child.poll() is None:
        child.terminate()
    deadline = time.monotonic() + _POLITE_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    _kill(_descendants())


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
