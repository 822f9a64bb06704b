"""Servers of our own: awaited, ended with all that they started, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from holdfast.runtime.processes import NotReadyInTimeError, Server, free_port, listening, running, start, why_not_ok

# A server that starts a process in a session of its own, as BentoML does with its workers.
_SERVER = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
print("at work", flush=True)
time.sleep(300)
"""


def server(tmp_path: Path) -> Callable[[], Server]:
    return lambda: start(
        "a server", [sys.executable, "-c", _SERVER, str(tmp_path / "pid")], os.environ, tmp_path / "log", tmp_path
    )


def there(path: Path) -> str:
    return "" if path.exists() and path.read_text() else "not yet"


def gone(*pids: int, within: float = 20) -> bool:
    deadline = time.monotonic() + within
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("how", ["end", "kill"])
def test_what_it_started_ends_with_it(tmp_path: Path, how: str) -> None:
    found = server(tmp_path)()
    found.wait_until(lambda: there(tmp_path / "pid"), 30)
    pids = [process.pid for process in found.processes()]
    assert int((tmp_path / "pid").read_text()) in pids
    assert len(pids) == 2
    getattr(found, how)()
    assert not found.runs
    assert gone(*pids, found.guard.pid)
    assert "at work" in found.log.read_text()


def test_it_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time\n"
        "from holdfast.runtime.processes import start\n"
        f"found = start('s', [sys.executable, '-c', {_SERVER!r}, {str(tmp_path / 'pid')!r}], os.environ,"
        f" pathlib.Path({str(tmp_path / 'log')!r}))\n"
        f"pathlib.Path({str(tmp_path / 'guard')!r}).write_text(str(found.guard.pid))\n"
        "time.sleep(300)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while there(tmp_path / "pid") or there(tmp_path / "guard"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    guard, child = (int((tmp_path / name).read_text()) for name in ("guard", "pid"))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(guard, child)


def test_one_that_ends_before_it_is_ready_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such file')"]
    with (
        running("a server", command, os.environ, tmp_path / "log") as found,
        pytest.raises(NotReadyInTimeError, match=r"a server ended with status 1 before ready[\s\S]*no such file"),
    ):
        found.wait_until(lambda: "no answer", 30)


def test_one_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    command, port = [sys.executable, "-c", "import time; time.sleep(300)"], free_port()
    with (
        running("a server", command, os.environ, tmp_path / "log") as found,
        pytest.raises(NotReadyInTimeError, match=r"a server was not ready in time \(no answer\)"),
    ):
        found.wait_until(lambda: why_not_ok(f"http://127.0.0.1:{port}"), 0.5)
    assert not found.runs


def test_what_a_command_prints_is_said_and_its_status_told(tmp_path: Path) -> None:
    said: list[str] = []
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(7)"
    status = listening([sys.executable, "-c", code], os.environ, tmp_path / "log", tmp_path, said.append)
    assert (status, said, (tmp_path / "log").read_text()) == (7, ["one"], "two\n")
