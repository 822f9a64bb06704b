"""Processes side by side: their output, their failures, and that none is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.runtime import parallel_commands
from holdfast.runtime.parallel_commands import Command, SideBySide, WalkError

pytestmark = pytest.mark.long

# What a walk is to the machinery: prints, works, may have a server of its own.
_CHILD = """
import os, pathlib, subprocess, sys, time
sys.path.insert(0, {root!r})
from holdfast.runtime.processes import end_with_parent
end_with_parent()
state = pathlib.Path(os.environ["HOLDFAST_DATA"])
server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
(state / "pids").write_text(f"{{os.getpid()}} {{server.pid}}")
print("at work in", state.name, flush=True)
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
    """A child of this name that does this."""
    root = str(parallel_commands._ROOT)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "holdfast_test_child.py").write_text(_CHILD.format(root=root))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))

    def make(name: str, todo: str) -> Command:
        state = tmp_path / name
        state.mkdir()
        (state / "todo").write_text(todo)
        return Command("holdfast_test_child", state, state / "log.txt")

    return make


def _alive(command: Command) -> list[int]:
    """The processes of a child that still run."""
    deadline = time.monotonic() + 5
    while (alive := [pid for pid in _pids(command) if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _pids(command: Command) -> list[int]:
    if not (command.state / "pids").exists():  # it was ended before it could start anything
        return []
    return [int(pid) for pid in (command.state / "pids").read_text().split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_lines_are_reported_and_nothing_is_left(command: Callable[[str, str], Command]) -> None:
    said: list[tuple[str, str]] = []
    commands = {name: command(name, "work") for name in ("one", "two", "three")}
    with SideBySide(2, lambda name, line: said.append((name, line))) as side_by_side:
        side_by_side.run(commands)
    assert sorted(said) == sorted((name, line) for name in commands for line in (f"at work in {name}", "done"))
    assert [_alive(item) for item in commands.values()] == [[], [], []]


def test_the_first_failure_ends_the_rest_and_is_told(command: Callable[[str, str], Command]) -> None:
    commands = {"slow": command("slow", "hang"), "bad": command("bad", "fail"), "next": command("next", "work")}
    began = time.monotonic()
    with SideBySide(2, lambda name, line: None) as side_by_side, pytest.raises(WalkError) as error:
        side_by_side.run(commands)
    assert time.monotonic() - began < 60
    assert str(error.value) == f"Policy bad ended with code 3. The end of {commands['bad'].log}:\nreason"
    assert _alive(commands["slow"]) == _alive(commands["bad"]) == []


def test_a_killed_child_leaves_no_server(command: Callable[[str, str], Command]) -> None:
    killed = command("killed", "killed")
    with SideBySide(1, lambda name, line: None) as side_by_side, pytest.raises(WalkError, match="code -9"):
        side_by_side.run({"killed": killed})
    assert _alive(killed) == []


def test_walks_reach_no_server_of_whoever_started_them(
    command: Callable[[str, str], Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "FEAST_FS_YAML_FILE_PATH"):
        monkeypatch.setenv(name, "http://production")
    said: list[str] = []
    with SideBySide(1, lambda name, line: said.append(line)) as side_by_side:
        side_by_side.run({"one": command("one", "environment")})
    assert "production" not in "".join(said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_parent_leaves_no_process(
    command: Callable[[str, str], Command], tmp_path: Path, number: signal.Signals
) -> None:
    hanging = command("hanging", "hang")
    script = (
        "from pathlib import Path\n"
        "from holdfast.runtime.parallel_commands import Command, SideBySide\n"
        f"state = Path({str(hanging.state)!r})\n"
        "with SideBySide(1, lambda name, line: print(line, flush=True)) as side_by_side:\n"
        "    side_by_side.run({'hanging': Command('holdfast_test_child', state, state / 'log.txt')})\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=parallel_commands._ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "at work in hanging\n"
    os.kill(parent.pid, number)
    assert parent.wait(30) != 0
    assert _alive(hanging) == []
    parent.stdout.close()
