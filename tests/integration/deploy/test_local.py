"""What `make up` refuses, writes and cleans up, part by part."""

import configparser
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local.components import Part, environment, fresh, parts
from deploy.local.lock import RunsAlreadyError, running, take_lock
from deploy.local.orphans import MARK, PART, end_left_over, left_over
from deploy.local.ports import PortTakenError, require_free
from deploy.local.settings import LocalSettings, load_local_settings
from deploy.local.startup import Watch
from deploy.local.supervisor import RETRIES, Supervisor, configuration
from feature_repo.errors import SettingsError
from feature_repo.settings import Settings
from tests.support.local_stack import NAMES, up, variables
from tests.support.main_job import ROOT
from tests.support.server_processes import free_port, wait_for


def refused(data: Path, **more: str) -> str:
    """What `make up` says before it starts anything."""
    command = [sys.executable, "-m", "deploy.local"]
    done = subprocess.run(
        command, cwd=ROOT, env=variables(data) | more, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert not (data / "logs").exists(), "something was started"
    return done.stderr


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(tmp_path / "data", HOLDFAST_MLFLOW_PORT=str(port))
    assert f"Port {port} of MLflow's pages cannot be had" in said
    assert "set HOLDFAST_MLFLOW_PORT=..." in said
    assert said.count("\n") == 1


def test_two_parts_cannot_have_one_port(data_dir: Path) -> None:
    ports = {f"{name}_port": free_port() for name in NAMES}
    local = LocalSettings(**ports | {"feast_port": ports["status_port"]})
    with pytest.raises(PortTakenError) as error:
        require_free(local, parts(Settings(), local))
    assert f"Port {ports['status_port']} is given twice" in str(error.value)
    assert "set HOLDFAST_STATUS_PORT or HOLDFAST_FEAST_PORT" in str(error.value)


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1"])
def test_a_port_is_a_number(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SERVICE_PORT", value)
    with pytest.raises(SettingsError, match=f"HOLDFAST_SERVICE_PORT is '{value}'; it must be a whole number from 1"):
        load_local_settings()


def test_a_folder_has_one_at_a_time(data_dir: Path) -> None:
    local = LocalSettings(prefect_port=4201, status_port=8081)
    assert running(Settings()) is None
    lock = take_lock(Settings(), local)
    try:
        with pytest.raises(RunsAlreadyError, match=r"runs already on .*8081"):
            take_lock(Settings(), local)
        told = running(Settings()) or {}
        assert told["PREFECT_API_URL"] == "http://127.0.0.1:4201/api"
        assert told["HOLDFAST_STATUS_URL"] == "http://127.0.0.1:8081"
        done = subprocess.run([sys.executable, "-m", "deploy.local.lock"], capture_output=True, text=True, check=True)
        exported = {line.removeprefix("export ") for line in done.stdout.splitlines()}
        assert exported == {f"{name}={shlex.quote(value)}" for name, value in told.items()}
        told_parts = environment(Settings(), local)
        for name in ("SERVICE", "PREFECT", "MLFLOW", "EVIDENTLY", "FEAST", "RUNBOOK"):
            assert told[f"HOLDFAST_{name}_URL"] == told_parts[f"HOLDFAST_{name}_URL"]
        assert (data_dir / "local" / "up.json").stat().st_mode & 0o077 == 0
    finally:
        lock.release()
    assert running(Settings()) is None


def test_parts_agree_on_where_the_others_are(data_dir: Path) -> None:
    local = LocalSettings(prefect_port=4201, service_port=3001)
    told = environment(Settings(), local)
    assert told["PREFECT_API_URL"] == "http://127.0.0.1:4201/api"
    assert told["HOLDFAST_SERVICE_URL"] == "http://127.0.0.1:3001"
    assert told["HOLDFAST_DATA"] == str(data_dir)
    open_to_all = LocalSettings(host="0.0.0.0")
    assert open_to_all.url("prefect") == "http://127.0.0.1:4200"
    assert all(("0.0.0.0" in part.command) is (part.port is not None) for part in parts(Settings(), open_to_all))


def test_a_tracking_server_of_the_users_is_left_alone(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "mlflow" in {part.name for part in parts(Settings(), LocalSettings())}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    assert "mlflow" not in {part.name for part in parts(Settings(), LocalSettings())}
    assert environment(Settings(), LocalSettings())["HOLDFAST_MLFLOW_URL"] == "https://mlflow.example"


def test_odd_paths_survive_supervisors_configuration(tmp_path: Path) -> None:
    part = Part("odd", "an odd one", ("echo", "50% of 'it'", "%(ENV_HOME)s"))
    read = configparser.RawConfigParser()
    read.read_string(configuration([part], tmp_path / "100% logs", tmp_path))
    assert read["program:odd"]["command"].replace("%%", "%") == part.command_line
    assert "100%% logs" in read["program:odd"]["stdout_logfile"]


def test_a_part_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    """A real Supervisor; what needs the dead part is not started, and the rest goes on."""
    shout = "import sys; print('\\n'.join(map(str, range(50)))); sys.exit('the disk is full')"
    quick = Part("quick", "q", (sys.executable, "-c", "pass"), once=True)
    dies = Part("dies", "d", (sys.executable, "-c", shout), once=True, needs=("quick",))
    after = Part("after", "a", (sys.executable, "-c", "pass"), needs=("dies",))
    told: list[str] = []
    with Supervisor([quick, dies, after], {MARK: str(tmp_path)}, tmp_path / "logs") as supervisor:
        wait_for(supervisor.answers, 20, lambda: "no Supervisor")
        watch = Watch([quick, dies, after], supervisor, tmp_path / "logs", "http://127.0.0.1:1", told.append)
        deadline = time.monotonic() + 20
        while not watch.settled and time.monotonic() < deadline:
            watch.look()
            time.sleep(0.1)
        watch.close()
    assert told[0] == "quick  done"
    assert told[1].startswith(f"dies   ended. The last lines of {tmp_path}/logs/dies.log:")
    assert told[1].endswith("the disk is full")
    assert "    49\n" in told[1]
    assert "    20\n" not in told[1]
    assert told[2:] == ["after  is not started, for it needs dies"]
    assert left_over(tmp_path) == []


@pytest.mark.long
def test_a_part_that_keeps_dying_is_given_up(tmp_path: Path) -> None:
    part = Part("dies", "d", (sys.executable, "-c", "import sys; sys.exit('no')"))
    told: list[str] = []
    with Supervisor([part], {}, tmp_path / "logs") as supervisor:
        wait_for(supervisor.answers, 20, lambda: "no Supervisor")
        watch = Watch([part], supervisor, tmp_path / "logs", "http://127.0.0.1:1", told.append)

        def is_settled() -> bool:
            watch.look()
            return watch.settled

        wait_for(is_settled, 60, lambda: str(told))
        watch.close()
    assert f"ended {RETRIES + 1} times; it is not started any more" in told[-1]
    assert told[-1].count("    no") == RETRIES + 1


def test_ctrl_c_before_anything_has_started_ends_it(tmp_path: Path) -> None:
    with up(tmp_path / "data", [sys.executable, "-m", "deploy.local"]) as here:
        here.says("Starting everything")
        assert here.end(signal.SIGINT) == 0
        assert "Traceback" not in here.server.output()


@pytest.mark.long
def test_what_a_killed_one_left_is_ended(tmp_path: Path) -> None:
    """Also a process that hides in a session of its own and ignores a polite signal."""
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    marked = subprocess.Popen(
        [sys.executable, "-c", stubborn], env=os.environ | {MARK: str(tmp_path)}, start_new_session=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ | {MARK: "/other"})
    try:
        assert marked.stdout is not None
        marked.stdout.readline()
        assert [process.pid for process in left_over(tmp_path)] == [marked.pid]
        assert end_left_over(tmp_path) == 1
        assert not psutil.pid_exists(marked.pid)
        assert psutil.Process(other.pid).is_running()
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()


# Like BentoML's: the socket is the parent's, and a worker in a session of its own keeps it.
_SERVER = """
import os, socket, subprocess, sys, time
socket_ = socket.socket()
socket_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
socket_.bind(("127.0.0.1", int(sys.argv[1])))
socket_.listen()
command = [sys.executable, "-c", "import time; time.sleep(60)"]
subprocess.Popen(command, pass_fds=[socket_.fileno()], start_new_session=True)
print("serving", flush=True)
time.sleep(60)
"""


@pytest.mark.long
def test_a_killed_server_starts_again_though_its_worker_kept_the_port(tmp_path: Path) -> None:
    port = free_port()
    server = tmp_path / "server.py"
    server.write_text(_SERVER)
    command = fresh("web", (sys.executable, str(server), str(port)))
    part = Part("web", "w", command, port=port)
    log = tmp_path / "logs" / "web.log"

    def served() -> int:
        return log.read_text().count("serving\n") if log.exists() else 0

    other = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ | {MARK: str(tmp_path), PART: "other"}
    )
    try:
        with Supervisor([part], {MARK: str(tmp_path)}, tmp_path / "logs") as supervisor:
            wait_for(supervisor.answers, 20, lambda: "no Supervisor")
            supervisor.start(part)
            wait_for(lambda: served() == 1, 20, lambda: log.read_text())
            first = left_over(tmp_path, "web")
            assert len(first) == 2
            os.kill(supervisor.processes()["web"].pid, signal.SIGKILL)
            wait_for(lambda: served() == 2, 30, lambda: log.read_text())
            assert [process.pid for process in first if process.is_running()] == []
            assert "Ended 1 processes that an earlier web had left." in log.read_text()
            assert "Address already in use" not in log.read_text()
            assert [process.pid for process in left_over(tmp_path, "other")] == [other.pid]
    finally:
        end_left_over(tmp_path)
        other.wait()
