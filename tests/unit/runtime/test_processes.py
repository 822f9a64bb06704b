"""Tests of managed processes: readiness, termination of the tree, output."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from holdfast.runtime.polling import poll_until
from holdfast.runtime.processes import (
    ManagedProcess,
    ProcessNotReadyError,
    free_port,
    health_problem,
    start_process,
)
from tests.support.waiting import wait_for

# A server that starts a process in another session, as BentoML does with its workers.
_SERVER = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
print("started", flush=True)
time.sleep(300)
"""


def _start_server(folder: Path) -> ManagedProcess:
    command = [sys.executable, "-c", _SERVER, str(folder / "pid")]
    return start_process("a server", command, os.environ, folder / "log", folder)


def _missing(path: Path) -> str | None:
    return None if path.exists() and path.read_text() else "not yet"


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _has_ended(*pids: int) -> bool:
    return poll_until(lambda: not any(_is_running(pid) for pid in pids), 60, 0.05)


@pytest.mark.parametrize("method", ["terminate", "kill"])
@pytest.mark.parametrize("paused", [False, True])
def test_managed_process_ended_leaves_no_descendant(tmp_path: Path, method: str, paused: bool) -> None:
    process = _start_server(tmp_path)
    process.wait_until_ready(lambda: _missing(tmp_path / "pid"), 30)
    pids = [item.pid for item in process.tree()]
    assert int((tmp_path / "pid").read_text()) in pids
    assert len(pids) == 2
    if paused:
        process.pause()
    getattr(process, method)()
    assert not process.is_running
    assert _has_ended(*pids, process.guard.pid)
    assert "started" in process.log.read_text()


def test_managed_process_caller_killed_leaves_no_process(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time\n"
        "from holdfast.runtime.processes import start_process\n"
        f"process = start_process('s', [sys.executable, '-c', {_SERVER!r}, {str(tmp_path / 'pid')!r}], os.environ,"
        f" pathlib.Path({str(tmp_path / 'log')!r}))\n"
        f"pathlib.Path({str(tmp_path / 'guard')!r}).write_text(str(process.guard.pid))\n"
        "time.sleep(300)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_for(lambda: not _missing(tmp_path / "pid") and not _missing(tmp_path / "guard"))
    guard, child = (int((tmp_path / name).read_text()) for name in ("guard", "pid"))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert _has_ended(guard, child)


def test_wait_until_ready_process_ended_raises_with_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such file')"]
    with (
        start_process("a server", command, os.environ, tmp_path / "log") as process,
        pytest.raises(ProcessNotReadyError, match=r"a server ended with status 1 before ready[\s\S]*no such file"),
    ):
        process.wait_until_ready(lambda: "no response", 30)


def test_wait_until_ready_never_ready_raises_with_problem(tmp_path: Path) -> None:
    command, port = [sys.executable, "-c", "import time; time.sleep(300)"], free_port()
    with (
        start_process("a server", command, os.environ, tmp_path / "log") as process,
        pytest.raises(ProcessNotReadyError, match=r"a server was not ready in time \(no response\)"),
    ):
        process.wait_until_ready(lambda: health_problem(f"http://127.0.0.1:{port}"), 0.5)
    assert not process.is_running


def test_report_output_reports_lines_and_returns_status(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(7)"
    process = start_process("a command", [sys.executable, "-c", code], os.environ, tmp_path / "log", tmp_path, True)
    status = process.report_output(lines.append)
    assert (status, lines, (tmp_path / "log").read_text()) == (7, ["one"], "two\n")
