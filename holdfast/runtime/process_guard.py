"""Parent of a managed command, which ends with all its descendants at end of file on standard input.

`holdfast.runtime.processes` runs this file by path; without imports of Holdfast it starts in a few hundredths of a
second.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux
_TERMINATE_SECONDS = 10.0


def main(command: list[str]) -> int:
    """Run a command, and kill what is left of its tree.

    Args:
        command: Program and arguments.

    Returns:
        Exit status of the command; 128 + the number of the signal that ended the command.
    """
    if sys.platform == "linux":  # a process that outlives its parent becomes a child of the guard
        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: threading.Thread(target=_end, args=(child,)).start())
    threading.Thread(target=_watch_stdin, args=(child,), daemon=True).start()
    status = child.wait()
    _kill_tree(child)
    return status if status >= 0 else 128 - status


def _watch_stdin(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1):  # nothing is ever written
        pass
    _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Terminate the command; kill the tree after a while."""
    if child.poll() is None:
        child.terminate()
    _apply(psutil.Process.resume)  # a suspended process gets SIGTERM only when resumed
    deadline = time.monotonic() + _TERMINATE_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    _kill_tree(child)


def _kill_tree(child: "subprocess.Popen[bytes]") -> None:
    _apply(psutil.Process.kill)
    with suppress(OSError):  # where there is no subreaper: orphans that stayed in the process group
        os.killpg(child.pid, signal.SIGKILL)


def _apply(action: Callable[[psutil.Process], object]) -> None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            action(process)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
