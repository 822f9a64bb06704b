"""Tests of the modules of `make up`."""

import configparser
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.components import Component, clean_start_command, component_environment, list_components
from deploy.local.lock import AlreadyRunningError, acquire_lock, running_endpoints
from deploy.local.orphans import COMPONENT_VARIABLE, DATA_VARIABLE, find_orphans, terminate_orphans
from deploy.local.ports import PortInUseError, require_free_ports
from deploy.local.settings import LocalSettings, OpenServiceError
from deploy.local.startup import StartupMonitor
from deploy.local.supervisor import RETRIES, Supervisor, supervisor_configuration
from feature_repo.errors import SettingsError
from feature_repo.settings import Settings
from holdfast.runtime.processes import free_port
from tests.support.local_stack import SERVERS, running_stack, stack_environment
from tests.support.main_job import ROOT
from tests.support.waiting import wait_for


def _failed_start(data: Path, **more: str) -> str:
    """Run a `make up` that fails before anything starts; returns standard error."""
    command = [sys.executable, "-m", "deploy.local"]
    done = subprocess.run(
        command, cwd=ROOT, env=stack_environment(data) | more, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert not (data / "logs").exists(), "something was started"
    return done.stderr


def test_make_up_port_in_use_fails_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = _failed_start(tmp_path / "data", HOLDFAST_MLFLOW_PORT=str(port))
    assert f"Port {port} of MLflow's UI cannot be used" in error
    assert "set HOLDFAST_MLFLOW_PORT=..." in error
    assert error.count("\n") == 1


def test_require_free_ports_same_port_twice_raises(data_dir: Path) -> None:
    ports = {f"{name}_port": free_port() for name in SERVERS}
    local = LocalSettings(**ports | {"feast_port": ports["status_port"]})
    with pytest.raises(PortInUseError) as error:
        require_free_ports(local, list_components(Settings(), local))
    assert f"Port {ports['status_port']} is given to both the status page and Feast's UI" in str(error.value)
    assert "set HOLDFAST_STATUS_PORT or HOLDFAST_FEAST_PORT" in str(error.value)


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1"])
def test_from_environment_invalid_port_raises(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SERVICE_PORT", value)
    with pytest.raises(SettingsError, match=f"HOLDFAST_SERVICE_PORT is '{value}'; it must be a whole number from 1"):
        LocalSettings.from_environment()


def test_acquire_lock_second_time_raises_and_endpoints_are_readable(data_dir: Path) -> None:
    local = LocalSettings(prefect_port=4201, status_port=8081)
    assert running_endpoints(Settings()) is None
    lock = acquire_lock(Settings(), local)
    try:
        with pytest.raises(AlreadyRunningError, match=r"already runs on .*8081"):
            acquire_lock(Settings(), local)
        endpoints = running_endpoints(Settings()) or {}
        assert endpoints["PREFECT_API_URL"] == "http://127.0.0.1:4201/api"
        assert endpoints["HOLDFAST_STATUS_URL"] == "http://127.0.0.1:8081"
        done = subprocess.run([sys.executable, "-m", "deploy.local.lock"], capture_output=True, text=True, check=True)
        exported = {line.removeprefix("export ") for line in done.stdout.splitlines()}
        password = f'PREFECT_API_AUTH_STRING="$(cat {data_dir}/local/prefect-password)"'
        assert exported == {password, *(f"{name}={shlex.quote(value)}" for name, value in endpoints.items())}
        variables = component_environment(Settings(), local)
        for name in ("SERVICE", "PREFECT", "MLFLOW", "EVIDENTLY", "FEAST", "RUNBOOK"):
            assert endpoints[f"HOLDFAST_{name}_URL"] == variables[f"HOLDFAST_{name}_URL"]
        assert (data_dir / "local" / "up.json").stat().st_mode & 0o077 == 0
    finally:
        lock.release()
    assert running_endpoints(Settings()) is None


def test_component_environment_contains_all_addresses(data_dir: Path) -> None:
    local = LocalSettings(prefect_port=4201, service_port=3001)
    variables = component_environment(Settings(), local)
    assert variables["PREFECT_API_URL"] == "http://127.0.0.1:4201/api"
    assert variables["HOLDFAST_SERVICE_URL"] == "http://127.0.0.1:3001"
    assert variables["HOLDFAST_DATA"] == str(data_dir)
    open_to_all = LocalSettings(host="0.0.0.0")
    assert open_to_all.url("prefect") == "http://127.0.0.1:4200"
    reachable = [item.name for item in list_components(Settings(), open_to_all) if "0.0.0.0" in item.command]
    assert reachable == ["status", "service"]
    assert "HOLDFAST_KEYLESS" not in component_environment(Settings(), open_to_all)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])
def test_require_authentication_beyond_loopback_without_keys_raises(host: str, tmp_path: Path) -> None:
    local = LocalSettings(host=host)
    for variables in ({}, {"HOLDFAST_API_KEYS": "", "HOLDFAST_API_KEYS_FILE": ""}, {"HOLDFAST_KEYLESS": "loopback"}):
        with pytest.raises(OpenServiceError, match="the service has no API keys"):
            local.require_authentication(variables)
    local.require_authentication({"HOLDFAST_API_KEYS_FILE": str(tmp_path / "keys")})
    assert {local.listen(name) for name in ("prefect", "mlflow", "evidently", "feast")} == {"127.0.0.1"}


def test_require_authentication_on_loopback_needs_no_keys() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        LocalSettings(host=host).require_authentication({})


def test_make_up_beyond_loopback_without_keys_fails_before_anything_starts(tmp_path: Path) -> None:
    error = _failed_start(tmp_path / "data", HOLDFAST_HOST="0.0.0.0")
    assert "HOLDFAST_HOST=0.0.0.0 admits other machines, and the service has no API keys" in error
    assert error.count("\n") == 1


def test_list_components_external_tracking_server_has_no_mlflow_component(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "mlflow" in {item.name for item in list_components(Settings(), LocalSettings())}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    assert "mlflow" not in {item.name for item in list_components(Settings(), LocalSettings())}
    assert component_environment(Settings(), LocalSettings())["HOLDFAST_MLFLOW_URL"] == "https://mlflow.example"


def test_list_components_database_password_is_in_no_command_line(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of the machine can read command lines."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://mlflow:s3cret@db.example/mlflow?sslmode=require")
    assert not [item.name for item in list_components(Settings(), LocalSettings()) if "s3cret" in item.command_line]
    assert "s3cret" in component_environment(Settings(), LocalSettings())["MLFLOW_TRACKING_URI"]


def test_supervisor_processes_files_have_no_permissions_for_others(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'written')!r}, 'w')"
    component = Component("writer", "w", (sys.executable, "-S", "-c", code), one_shot=True)
    with Supervisor([component], {DATA_VARIABLE: str(tmp_path)}, tmp_path / "logs") as supervisor:
        wait_for(supervisor.is_ready, 60, lambda: "no Supervisor")
        supervisor.start(component)
        wait_for((tmp_path / "written").exists, 60, lambda: "no file")
    for file in (tmp_path / "written", tmp_path / "logs" / "writer.log", tmp_path / "logs" / "supervisord.log"):
        assert file.stat().st_mode & 0o007 == 0, file


def test_supervisor_configuration_escapes_special_characters(tmp_path: Path) -> None:
    component = Component("odd", "special characters", ("echo", "50%"))
    read = configparser.RawConfigParser()
    read.read_string(supervisor_configuration([component], tmp_path / "100% folder"))
    assert "100%% folder" in read["program:odd"]["command"]
    assert "100%% folder" in read["program:odd"]["stdout_logfile"]


def test_supervisor_of_a_command_and_logs_with_special_characters_runs_it_and_writes_them(tmp_path: Path) -> None:
    text = "50% of 'it' ; # %(ENV_HOME)s $HOME"
    component = Component("odd", "special characters", (sys.executable, "-c", "import sys; print(sys.argv[1])", text))
    logs = tmp_path / "100% ; # logs"
    with Supervisor([component], {DATA_VARIABLE: str(tmp_path)}, logs) as supervisor:
        wait_for(supervisor.is_ready, 60, lambda: "no Supervisor")
        supervisor.start(component)
        wait_for(lambda: text in (logs / "odd.log").read_text(), 60, lambda: "no output")


def test_startup_monitor_failed_component_is_reported_with_its_log(tmp_path: Path) -> None:
    """A component that requires the failed one is not started."""
    code = "import sys; print('\\n'.join(map(str, range(50)))); sys.exit('the disk is full')"
    quick = Component("quick", "q", (sys.executable, "-c", "pass"), one_shot=True)
    dies = Component("dies", "d", (sys.executable, "-c", code), one_shot=True, requires=("quick",))
    after = Component("after", "a", (sys.executable, "-c", "pass"), requires=("dies",))
    messages: list[str] = []
    variables = {DATA_VARIABLE: str(tmp_path), "PYTHONUNBUFFERED": "1"}  # as all components of `make up` have it
    with Supervisor([quick, dies, after], variables, tmp_path / "logs") as supervisor:
        wait_for(supervisor.is_ready, 60, lambda: "no Supervisor")
        monitor = StartupMonitor(
            [quick, dies, after], supervisor, tmp_path / "logs", "http://127.0.0.1:1", "", messages.append
        )

        def is_done() -> bool:
            monitor.poll()
            return monitor.is_done

        wait_for(is_done, describe_failure=lambda: str(messages))
    assert messages[0] == "quick  done"
    assert messages[1].startswith(f"dies   ended. The last lines of {tmp_path}/logs/dies.log:")
    assert messages[1].endswith("the disk is full")
    assert "    49\n" in messages[1]
    assert "    20\n" not in messages[1]
    assert messages[2:] == ["after  is not started, because it requires dies"]
    assert list(find_orphans(tmp_path)) == []


@pytest.mark.long
def test_startup_monitor_repeatedly_failing_component_is_not_started_again(tmp_path: Path) -> None:
    component = Component("dies", "d", (sys.executable, "-c", "import sys; sys.exit('no')"))
    messages: list[str] = []
    with Supervisor([component], {}, tmp_path / "logs") as supervisor:
        wait_for(supervisor.is_ready, 60, lambda: "no Supervisor")
        monitor = StartupMonitor([component], supervisor, tmp_path / "logs", "http://127.0.0.1:1", "", messages.append)

        def is_done() -> bool:
            monitor.poll()
            return monitor.is_done

        wait_for(is_done, 60, lambda: str(messages))
    assert f"ended {RETRIES + 1} times; it is not started any more" in messages[-1]
    assert messages[-1].count("    no") == RETRIES + 1


def test_make_up_ctrl_c_during_start_exits_cleanly(tmp_path: Path) -> None:
    with running_stack(tmp_path / "data", [sys.executable, "-m", "deploy.local"]) as stack:
        stack.wait_for_output("Starting all components")
        assert stack.end(signal.SIGINT) == 0, stack.server.output()
        assert "Traceback" not in stack.server.output()


@pytest.mark.long
def test_terminate_orphans_ends_processes_of_the_data_folder_only(tmp_path: Path) -> None:
    """The process is in another session and ignores SIGTERM."""
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    marked = subprocess.Popen(
        [sys.executable, "-c", stubborn], env=os.environ | {DATA_VARIABLE: str(tmp_path)}, start_new_session=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    other = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ | {DATA_VARIABLE: "/other"}
    )
    try:
        assert marked.stdout is not None
        marked.stdout.readline()
        assert [process.pid for process in find_orphans(tmp_path)] == [marked.pid]
        assert terminate_orphans(tmp_path) == 1
        assert not psutil.pid_exists(marked.pid)
        assert psutil.Process(other.pid).is_running()
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()


# As BentoML does: a worker in another session inherits the socket of its parent.
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
def test_supervisor_killed_server_restarts_on_the_port_of_its_orphan(tmp_path: Path) -> None:
    port = free_port()
    server = tmp_path / "server.py"
    server.write_text(_SERVER)
    command = clean_start_command("web", (sys.executable, str(server), str(port)))
    component = Component("web", "w", command, port=port)
    log = tmp_path / "logs" / "web.log"

    def start_count() -> int:
        return log.read_text().count("serving\n") if log.exists() else 0

    other = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env=os.environ | {DATA_VARIABLE: str(tmp_path), COMPONENT_VARIABLE: "other"},
    )
    try:
        variables = {DATA_VARIABLE: str(tmp_path), "HOLDFAST_DATA": str(tmp_path)}
        with Supervisor([component], variables, tmp_path / "logs") as supervisor:
            wait_for(supervisor.is_ready, 60, lambda: "no Supervisor")
            supervisor.start(component)
            wait_for(lambda: start_count() == 1, 60, lambda: log.read_text())
            first = list(find_orphans(tmp_path, "web"))
            assert len(first) == 2
            os.kill(supervisor.processes()["web"].pid, signal.SIGKILL)
            wait_for(lambda: start_count() == 2, 30, lambda: log.read_text())
            assert [process.pid for process in first if process.is_running()] == []
            assert "Terminated 1 orphaned processes of an earlier web." in log.read_text()
            assert "Address already in use" not in log.read_text()
            assert [process.pid for process in find_orphans(tmp_path, "other")] == [other.pid]
    finally:
        terminate_orphans(tmp_path)
        other.wait()
