"""The command line of every flow: options from parameters, errors in one line, defects with their traceback."""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from flows._cli import run_flow
from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import free_port
from tests.support.small_shop import join_process, prefect_api, start_process


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int | None
    stdout: str
    stderr: str


Command = Callable[..., Done]


def _probe(options: list[str], folder: Path) -> None:
    """Run the command line of a flow that raises the error of its parameter; write its output to files."""
    from prefect import flow

    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), descriptor)

    @flow(name="probe", persist_result=False)
    def probe(what: str = "nothing", when: datetime | None = None) -> str:
        """Raise an error."""
        if what == "expected":
            raise HoldfastError("a [red]bracket[/red] and a long line " + "x" * 200)
        if what == "disk":
            raise OSError(28, "No space left on device")
        if what == "defect":
            raise ValueError("unexpected")
        return f"done at {when}"

    sys.argv = ["probe", *options]
    run_flow(probe)


@pytest.fixture
def command(prefect_server: None, tmp_path: Path) -> Command:
    def run(*options: str) -> Done:
        code = join_process(
            start_process(_probe, tmp_path / "data", list(options), tmp_path, api=prefect_api(), COLUMNS="80")
        )
        return Done(code, *((tmp_path / name).read_text() for name in ("stdout", "stderr")))

    return run


def test_run_flow_option_sets_parameter_and_prints_result(command: Command) -> None:
    done = command("--when", "1998-07-01")
    assert done.code == 0, done.stderr
    assert "done at 1998-07-01 00:00:00" in done.stdout


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("expected", "HoldfastError: a [red]bracket[/red] and a long line " + "x" * 200),
        ("disk", "OSError: [Errno 28] No space left on device"),
    ],
)
def test_run_flow_expected_error_exits_1_with_one_line(command: Command, what: str, line: str) -> None:
    done = command("--what", what)
    assert done.code == 1
    assert line in done.stderr.splitlines()
    assert (done.stdout + done.stderr).count(line.partition(": ")[2]) == 1, "Prefect's lines do not repeat the error"
    assert "Traceback" not in done.stdout + done.stderr


def test_run_flow_unreachable_server_exits_1_with_one_line(tmp_path: Path) -> None:
    api = f"http://127.0.0.1:{free_port()}/api"
    code = join_process(start_process(_probe, tmp_path / "data", [], tmp_path, api=api))
    (line,) = [line for line in (tmp_path / "stderr").read_text().splitlines() if "ServerDownError" in line]
    assert code == 1
    assert api in line
    assert "PREFECT_API_URL" in line
    assert "`make up`" in line
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def test_run_flow_unexpected_error_has_traceback(command: Command) -> None:
    done = command("--what", "defect")
    assert done.code == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "ValueError: unexpected" in done.stderr


@pytest.mark.parametrize("name", ["train", "promote"])
def test_run_flow_help_lists_no_settings_object(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole settings object is no option: whatever is typed after it is refused."""
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        run_flow(getattr(importlib.import_module(f"flows.{name}"), name))
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "--help" in printed
    assert "Settings>" not in printed


def test_run_flow_day_with_time_exits_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    backfill = importlib.import_module("flows.backfill").backfill
    monkeypatch.setattr(sys, "argv", ["backfill", "--start", "1998-07-01T12", "--end", "1998-07-02"])
    with pytest.raises(SystemExit) as ended:
        run_flow(backfill)
    assert ended.value.code == 2
    assert "does not match the format" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_run_flow_repeated_option_gives_a_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def monitor(views: list[Literal["data", "drift"]] | None = None) -> None:
        """Look."""
        asked.append(views)

    for options, code in ((["--views", "drift", "--views", "data"], 0), ([], 0), (["--views", "weather"], 2)):
        monkeypatch.setattr(sys, "argv", ["monitor", *options])
        with pytest.raises(SystemExit) as ended:
            run_flow(_unwatched(monitor))
        assert ended.value.code == code
    assert asked == [["drift", "data"], None]
    assert "weather" in capsys.readouterr().err


def _unwatched(function: Callable[..., None]) -> Any:
    """What the command line needs of a flow, without a server."""
    function.fn = function  # type: ignore[attr-defined]
    return function


@pytest.mark.parametrize(("name", "option"), [("train", "--training"), ("gates", "--thresholds")])
def test_run_flow_invalid_json_settings_exit_1_with_one_line(
    name: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, option, '{"folds": 0, "min_roc_auc": 7}'])
    with pytest.raises(SystemExit) as ended:
        run_flow(getattr(importlib.import_module(f"flows.{name}"), name))
    assert ended.value.code == 1
    error = capsys.readouterr().err
    wanted = {
        "train": "--training: folds is 0: Input should be greater than or equal to 1",
        "gates": "--thresholds: min_roc_auc is 7: Input should be less than or equal to 1",
    }
    assert wanted[name] in error
    assert "pydantic" not in error
