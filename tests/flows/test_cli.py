"""The command line of every flow: options from parameters, errors in one line, defects with their traceback."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.small_shop import prefect_api

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
from datetime import datetime
from prefect import flow
from flows.cli import run_flow

@flow(name="probe", persist_result=False)
def probe(what: str = "nothing", when: datetime | None = None) -> str:
    \"\"\"A probe.

    Args:
        what: Which error to raise.
    \"\"\"
    if what == "value":
        raise ValueError("a [red]bracket[/red] and a long line " + "x" * 200)
    if what == "disk":
        raise OSError(28, "No space left on device")
    if what == "defect":
        raise KeyError("unexpected")
    return f"done at {when}"

run_flow(probe)
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(prefect_server: None, tmp_path: Path) -> Run:
    """Run a probe flow's command line in a process of its own."""
    script = tmp_path / "probe.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PREFECT_API_URL": prefect_api(), "PYTHONPATH": str(ROOT), "COLUMNS": "80"}

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(script), *options],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_parameters_are_options_and_the_result_is_printed(command: Run) -> None:
    done = command("--when", "1998-07-01")
    assert done.returncode == 0, done.stderr
    assert "done at 1998-07-01 00:00:00" in done.stdout


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("value", "ValueError: a [red]bracket[/red] and a long line " + "x" * 200),
        ("disk", "OSError: [Errno 28] No space left on device"),
    ],
)
def test_an_expected_error_is_one_line_and_exit_code_1(command: Run, what: str, line: str) -> None:
    done = command("--what", what)
    assert done.returncode == 1
    assert line in done.stderr.splitlines()
    assert "Traceback" not in done.stdout + done.stderr


def test_a_defect_keeps_its_traceback(command: Run) -> None:
    done = command("--what", "defect")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "KeyError: 'unexpected'" in done.stderr


@pytest.mark.parametrize("flow", ["train", "promote"])
def test_no_option_is_offered_that_cannot_be_given(flow: str) -> None:
    """A whole settings object is no option: whatever is typed after it is refused."""
    helped = subprocess.run(
        [sys.executable, "-m", f"flows.{flow}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "--help" in helped.stdout
    for name in ("TrainingSettings", "PromotionSettings"):
        assert f"<{name}>" not in helped.stdout
