"""End-to-end tests of scenarios with real servers, worker and clients."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from simulations.__main__ import ensure_baseline
from simulations.baseline_state import BaselineKey, code_fingerprint
from simulations.scenario import Scenario
from tests.support.main_job import ROOT, environment_of

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(900)]
FIRST, SECOND = (pytest.mark.xdist_group(f"simulations {half}") for half in ("first", "second"))
NIGHTLY = pytest.mark.nightly  # days of drift take longer than a commit may wait


@dataclass(frozen=True)
class SimulationRun:
    """Exit status and output of the command, and its result."""

    status: int
    output: str
    result: dict[str, Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of this process, with the baseline state that the first process builds."""
    data = tmp_path_factory.mktemp("simulations") / "data"
    key = BaselineKey(Scenario.customers, code_fingerprint())
    baselines = tmp_path_factory.getbasetemp().parent / "baselines"
    baselines.mkdir(exist_ok=True)
    with FileLock(baselines / "baselines.lock"):
        ensure_baseline(baselines, key, print)
    (data / "simulations").mkdir(parents=True)
    key.folder(data / "simulations").symlink_to(key.folder(baselines), target_is_directory=True)
    return data


def run_simulation(data: Path, scenario: str, *options: str) -> SimulationRun:
    """Run `python -m simulations` and check that no process is left."""
    command = [sys.executable, "-m", "simulations", scenario, *options]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(data), capture_output=True, text=True, timeout=2000, check=False
    )
    output = done.stdout + done.stderr
    name = f"{scenario}-redis" if "redis" in options else scenario
    path = data / "simulations" / f"{name}.json"
    assert path.exists(), output[-3000:]
    assert not remaining_processes(data / "simulations"), output[-3000:]
    return SimulationRun(done.returncode, output, json.loads(path.read_text()))


def remaining_processes(folder: Path) -> list[str]:
    """List the processes that use a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if str(folder) in command or str(folder) in process.environ().get("HOLDFAST_DATA", ""):
                found.append(command)
        except psutil.Error:
            continue
    return found


def assert_passed(run: SimulationRun) -> None:
    """Check that the scenario passed, with requests of clients."""
    about = json.dumps({name: run.result[name] for name in ("detected_by", "expectations", "examples")}, indent=1)
    assert run.result["passed"], f"{about}\n{run.output[-1500:]}"
    assert run.status == 0
    assert run.result["answered"] == run.result["asked"] > 500
    assert (run.result["predictions_lost"], run.result["predictions_wrong"]) == (0, 0)


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        pytest.param("price-change", ["--days", "4"], marks=[FIRST, NIGHTLY]),
        pytest.param("redis-restart", ["--days", "2"], marks=FIRST),
    ],
)
def test_scenario_is_detected_in_time_without_lost_or_wrong_predictions(
    data: Path, scenario: str, options: list[str]
) -> None:
    run = run_simulation(data, scenario, *options)
    assert_passed(run)
    assert all(item["detected_at"] == item["by"] for item in run.result["detected_by"])
    assert run.result["detected_by"]


@SECOND
def test_changed_definition_is_applied_and_promoted_under_load(data: Path) -> None:
    """No finding, no lost or wrong prediction: a changed feature is no fault."""
    run = run_simulation(data, "changed-definition", "--days", "2")
    assert_passed(run)
    assert run.result["detected_by"] == []
    assert not [item for item in run.result["findings"] if item["severity"] != "info"]


@SECOND
@NIGHTLY
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_changed_definition_with_many_predictions_loses_none(data: Path, store: str) -> None:
    run = run_simulation(data, "changed-definition", "--days", "2", "--predictions", "50000", "--store", store)
    assert_passed(run)
    assert run.result["asked"] >= 50_000


@SECOND
@NIGHTLY
def test_scenario_without_fault_detects_nothing(data: Path) -> None:
    """The same days without the fault have no finding: the fault is detected, not the scenario."""
    run = run_simulation(data, "price-change", "--days", "3", "--no-fault")
    assert run.status == 1
    assert run.result["with_fault"] is False
    assert run.result["passed"] is False
    assert [item["detected_at"] for item in run.result["detected_by"]] == [None]
    assert not [item for item in run.result["findings"] if item["severity"] != "info"]
    assert (run.result["predictions_lost"], run.result["predictions_wrong"]) == (0, 0)


def test_scenario_of_unknown_name_is_rejected_in_one_line(data: Path) -> None:
    command = [sys.executable, "-m", "simulations", "flood"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(data), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "flood is not the name of a scenario. Names: quiet-month," in line
