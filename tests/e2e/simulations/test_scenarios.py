"""Scenarios for real: servers, worker, callers, and a fault. A fault that is not planted must not count as found."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from simulations.__main__ import ensure_world
from simulations.baseline_state import WorldKey, code_now
from simulations.scenario import Scenario
from tests.support.main_job import ROOT, environment_of

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(900)]
FIRST, SECOND = (pytest.mark.xdist_group(f"simulations {half}") for half in ("first", "second"))


@dataclass(frozen=True)
class Simulated:
    """What the command said, and the outcome it wrote."""

    status: int
    printed: str
    outcome: dict[str, Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of this process's own; the world that all simulations begin in is made by the first process."""
    data, key = tmp_path_factory.mktemp("simulations") / "data", WorldKey(Scenario.customers, code_now())
    worlds = tmp_path_factory.getbasetemp().parent / "worlds"
    worlds.mkdir(exist_ok=True)
    with FileLock(worlds / "worlds.lock"):
        ensure_world(worlds, key, print)
    (data / "simulations").mkdir(parents=True)
    key.folder(data / "simulations").symlink_to(key.folder(worlds), target_is_directory=True)
    return data


def simulated(data: Path, scenario: str, *options: str) -> Simulated:
    """`python -m simulations`, and nothing of it is left running."""
    command = [sys.executable, "-m", "simulations", scenario, *options]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(data), capture_output=True, text=True, timeout=800, check=False
    )
    printed = done.stdout + done.stderr
    path = data / "simulations" / f"{scenario}.json"
    assert path.exists(), printed[-3000:]
    assert not left_over(data / "simulations"), printed[-3000:]
    return Simulated(done.returncode, printed, json.loads(path.read_text()))


def left_over(folder: Path) -> list[str]:
    """Processes at work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if str(folder) in command or str(folder) in process.environ().get("HOLDFAST_DATA", ""):
                found.append(command)
        except psutil.Error:
            continue
    return found


def assert_passed(found: Simulated) -> None:
    """With callers who asked."""
    about = json.dumps({name: found.outcome[name] for name in ("detected_by", "expectations", "examples")}, indent=1)
    assert found.outcome["passed"], f"{about}\n{found.output[-1500:]}"
    assert found.status == 0
    assert found.outcome["answered"] == found.outcome["asked"] > 500
    assert (found.outcome["predictions_lost"], found.outcome["predictions_wrong"]) == (0, 0)


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        pytest.param("price-change", ["--days", "4"], marks=FIRST),
        pytest.param("changed-definition", ["--days", "3"], marks=SECOND),
        pytest.param("redis-restart", ["--days", "2"], marks=SECOND),
    ],
)
def test_it_is_detected_in_time_and_nothing_is_lost_or_wrong(data: Path, scenario: str, options: list[str]) -> None:
    found = simulated(data, scenario, *options)
    assert_passed(found)
    assert all(item["detected_at"] == item["by"] for item in found.outcome["detected_by"])
    assert found.outcome["detected_by"]


@SECOND
def test_a_fault_that_is_not_planted_is_not_found(data: Path) -> None:
    """The same days are quiet: what detects is the fault, not the scenario."""
    found = simulated(data, "price-change", "--days", "3", "--no-plant")
    assert found.status == 1
    assert found.outcome["with_fault"] is False
    assert found.outcome["passed"] is False
    assert [item["detected_at"] for item in found.outcome["detected_by"]] == [None]
    assert not [item for item in found.outcome["findings"] if item["severity"] != "info"]
    assert (found.outcome["predictions_lost"], found.outcome["predictions_wrong"]) == (0, 0)


def test_an_unknown_scenario_is_refused_in_one_line(data: Path) -> None:
    command = [sys.executable, "-m", "simulations", "flood"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(data), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "flood is no scenario. Name one of: quiet-month," in line
