"""Tests of parallel commands: output, failures, and that no process is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.runtime import parallel_commands
from holdfast.runtime.parallel_commands import Command, CommandError, run_parallel

pytestmark = pytest.mark.long

# A command that prints, works, and has a server as a child.
_CHILD = """
import os, pathlib, subprocess, sys, time
state = pathlib.Path(os.environ["HOLDFAST_DATA"])
server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
(state / "pids").write_text(f"{os.getpid()} {server.pid}")
print("started in", state.name, flush=True)
todo = (state / "todo").read_text()
if todo == "fail":
    print("reason", file=sys.stderr)
    sys.exit(3)
if todo == "hang":
    time.sleep(300)
if todo == "environment":
    print(sorted(name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_", "FEAST_"))), flush=True)
if todo == "killed":
    os.kill(os.getpid(), 9)
print("done", flush=True)
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Command]:
    """A factory of commands: name and what the command does."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "holdfast_test_child.py").write_text(_CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))

    def make(name: str, todo: str) -> Command:
        state = tmp_path / name
        state.mkdir()
        (state / "todo").write_text(todo)
        return Command("holdfast_test_child", state, state / "log.txt")

    return make


def _alive(command: Command) -> list[int]:
    """List the processes of a command that still run."""
    deadline = time.monotonic() + 60
    while (alive := [pid for pid in _pids(command) if _is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _pids(command: Command) -> list[int]:
    if not (command.state / "pids").exists():  # killed before the command could start anything
        return []
    return [int(pid) for pid in (command.state / "pids").read_text().split()]


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_run_parallel_reports_lines_and_leaves_no_process(command: Callable[[str, str], Command]) -> None:
    lines: list[tuple[str, str]] = []
    commands = {name: command(name, "work") for name in ("one", "two", "three")}
    run_parallel(commands, 2, lambda name, line: lines.append((name, line)))
    assert sorted(lines) == sorted((name, line) for name in commands for line in (f"started in {name}", "done"))
    assert [_alive(item) for item in commands.values()] == [[], [], []]


def test_run_parallel_first_failure_kills_the_rest_and_is_raised(command: Callable[[str, str], Command]) -> None:
    commands = {"slow": command("slow", "hang"), "bad": command("bad", "fail"), "next": command("next", "work")}
    start = time.monotonic()
    with pytest.raises(CommandError) as error:
        run_parallel(commands, 2, lambda name, line: None)
    assert time.monotonic() - start < 60
    assert str(error.value) == f"bad ended with status 3. The end of {commands['bad'].log}:\nreason"
    assert _alive(commands["slow"]) == _alive(commands["bad"]) == []


def test_run_parallel_killed_command_leaves_no_child(command: Callable[[str, str], Command]) -> None:
    killed = command("killed", "killed")
    with pytest.raises(CommandError, match="status 137"):
        run_parallel({"killed": killed}, 1, lambda name, line: None)
    assert _alive(killed) == []


def test_run_parallel_passes_no_server_address_of_the_caller(
    command: Callable[[str, str], Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "FEAST_FS_YAML_FILE_PATH"):
        monkeypatch.setenv(name, "http://production")
    lines: list[str] = []
    run_parallel({"one": command("one", "environment")}, 1, lambda name, line: lines.append(line))
    assert "production" not in "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_run_parallel_interrupted_caller_leaves_no_process(
    command: Callable[[str, str], Command], tmp_path: Path, number: signal.Signals
) -> None:
    hanging = command("hanging", "hang")
    script = (
        "from pathlib import Path\n"
        "from holdfast.runtime.parallel_commands import Command, run_parallel\n"
        f"state = Path({str(hanging.state)!r})\n"
        "command = Command('holdfast_test_child', state, state / 'log.txt')\n"
        "run_parallel({'hanging': command}, 1, lambda name, line: print(line, flush=True))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=parallel_commands._ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started in hanging\n"
    os.kill(parent.pid, number)
    assert parent.wait(30) != 0
    assert _alive(hanging) == []
    parent.stdout.close()
