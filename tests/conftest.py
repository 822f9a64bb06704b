"""State of the test session, separate from the checkout's data folder, and session-wide fixtures."""

import gc
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import configure
from tests.support.databases import skip_disk_waits
from tests.support.main_job import STATE, STATE_VARIABLES, MainJob, environment_of, run

for _name in [name for name in os.environ if name.startswith(STATE_VARIABLES)]:
    del os.environ[_name]
os.environ["HOLDFAST_MODEL_TRIAL_SECONDS"] = "0"  # seconds for each model; test_model_trial.py sets a limit
os.environ["HOLDFAST_DATA"] = str(STATE / "data")
os.environ["PREFECT_HOME"] = str(STATE / "prefect")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background; child processes would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{STATE / 'mlflow.db'}"  # MLflow's default is the working folder
configure()
skip_disk_waits()

_SHARED = ("main_job", "trained")  # fixtures of a session that take longest


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that share an expensive fixture in one worker, else tests of one folder; mark those of the main job."""
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
        if group == "main_job":
            item.add_marker(pytest.mark.long)
    items.sort(key=lambda item: groups[item] not in _SHARED)  # the longest first


def _group(item: pytest.Item) -> str:
    if own := item.get_closest_marker("xdist_group"):
        return str(own.args[0])
    return next((name for name in _SHARED if name in getattr(item, "fixturenames", ())), str(item.path.parent))


def pytest_unconfigure() -> None:
    shutil.rmtree(STATE, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def frozen_heap() -> None:
    """Exclude the imported libraries from garbage collections; statsmodels collects fully at each Holm correction."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty data folder, and the tracking server in it, for this process; return the folder."""
    folder = tmp_path / "data"
    monkeypatch.setenv("HOLDFAST_DATA", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    return folder


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Start one Prefect server for all tests that run a flow in this process."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=240):
        yield


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> MainJob:
    """Run `make run` in an empty data folder, once per session; once for all sessions if MAIN_JOB names a folder."""
    job_folder = os.environ.get("MAIN_JOB")
    folder = Path(job_folder).resolve() if job_folder else tmp_path_factory.mktemp("main-job")
    data, printed = folder / "data", folder / "printed.txt"
    environment = environment_of(data)
    if not printed.exists():
        printed.write_text(run(["make", "run"], environment))
    return MainJob(data, environment, printed.read_text(), json.loads((data / "run-summary.json").read_text()))
