"""Components of a running Holdfast: Prefect's server and worker, MLflow's server, the prediction service."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from deploy.local.components import POOL, venv_command
from feature_repo.database_urls import sqlite_url
from holdfast.core.errors import HoldfastError
from holdfast.runtime.polling import Result, poll_until
from holdfast.runtime.processes import (
    HOST,
    ManagedProcess,
    ProcessNotReadyError,
    free_port,
    health_problem,
    log_tail,
    start_process,
)
from simulations.workspace import Workspace

_READY_SECONDS = 180.0


class ComponentError(HoldfastError):
    """A component cannot be deployed, or does not reach an expected state."""


@contextmanager
def mlflow_server(workspace: Workspace) -> Iterator[ManagedProcess]:
    """Run MLflow's server for the block.

    Artifacts are served by the server, so that the state folder can be moved.

    Args:
        workspace: Workspace, which gets the server's address.

    Yields:
        The server, which is ready.
    """
    port, folder = free_port(), workspace.data / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    command = venv_command(
        "mlflow", "server", "--backend-store-uri", sqlite_url(folder / "mlflow.db"), "--serve-artifacts",
        "--artifacts-destination", str(folder / "artifacts"), "--host", HOST, "--port", str(port), "--workers", "1",
    )  # fmt: skip
    with _ready_server(workspace, "mlflow", command, f"http://{HOST}:{port}/health") as server:
        url = f"http://{HOST}:{port}"
        workspace.add_variables({"MLFLOW_TRACKING_URI": url, "HOLDFAST_MLFLOW_URL": url})
        yield server


@contextmanager
def prefect_server(workspace: Workspace) -> Iterator[ManagedProcess]:
    """Run Prefect's server for the block, with its database in the state folder.

    Args:
        workspace: Workspace, which gets the server's address.

    Yields:
        The server, which is ready.
    """
    port = free_port()
    command = venv_command("prefect", "server", "start", "--host", HOST, "--port", str(port))
    with _ready_server(workspace, "prefect", command, f"http://{HOST}:{port}/api/health") as server:
        url = f"http://{HOST}:{port}"
        workspace.add_variables({"PREFECT_API_URL": f"{url}/api", "PREFECT_UI_URL": url, "HOLDFAST_PREFECT_URL": url})
        yield server


def register_deployments(workspace: Workspace) -> None:
    """Register all deployments of prefect.yaml, as `make up` does.

    Args:
        workspace: Workspace with the address of Prefect's server.

    Raises:
        ComponentError: The registration failed; contains the end of its log.
    """
    run_command(workspace, "deploy.local.register_deployments")


def run_command(workspace: Workspace, module: str, *options: str) -> None:
    """Run a module of the workspace's source tree in a process.

    Args:
        workspace: Workspace with the addresses of the servers.
        module: Module to run.
        *options: Options on its command line.

    Raises:
        ComponentError: The command failed; contains the end of its log.
    """
    log = workspace.logs / f"{module}.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", module, *options],
            cwd=workspace.source,
            env=workspace.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise ComponentError(f"`python -m {module}` ended with status {done.returncode}.\n{log_tail(log)}")


def start_worker(workspace: Workspace) -> ManagedProcess:
    """Start a worker for the flow runs; the caller terminates the worker.

    Args:
        workspace: Workspace with the address of Prefect's server.

    Returns:
        The worker.
    """
    command = venv_command("prefect", "worker", "start", "--pool", POOL, "--type", "process")
    return start_process("worker", command, workspace.environment(), workspace.logs / "worker.log", workspace.source)


def start_service(workspace: Workspace, port: int, variables: Mapping[str, str]) -> ManagedProcess:
    """Start the prediction service and wait until it is ready; the caller terminates the service.

    Args:
        workspace: Workspace with the addresses of the other servers.
        port: Port of the service.
        variables: Additional environment variables.

    Returns:
        The service.

    Raises:
        ProcessNotReadyError: The service does not become ready.
    """
    command = venv_command("bentoml", "serve", "services.churn:ChurnService", "--host", HOST, "--port", str(port))
    environment = workspace.environment(**variables)
    service = start_process("service", command, environment, workspace.logs / "service.log", workspace.source)
    try:
        service.wait_until_ready(lambda: health_problem(f"http://{HOST}:{port}/readyz"), _READY_SECONDS)
    except ProcessNotReadyError:
        service.terminate()
        raise
    return service


def wait_until(condition: Callable[[], Result], timeout: float, what: str) -> Result:
    """Wait until a condition is true.

    Args:
        condition: Condition, polled five times a second.
        timeout: Seconds until the wait is given up.
        what: Name of the condition for the message.

    Returns:
        Result of the condition.

    Raises:
        ComponentError: The condition did not become true in time.
    """
    if not (result := poll_until(condition, timeout)):
        raise ComponentError(f"{what} did not happen within {timeout:g} seconds.")
    return result


@contextmanager
def _ready_server(workspace: Workspace, name: str, command: tuple[str, ...], health: str) -> Iterator[ManagedProcess]:
    log = workspace.logs / f"{name}.log"
    with start_process(name, command, workspace.environment(), log, workspace.source) as server:
        server.wait_until_ready(lambda: health_problem(health), _READY_SECONDS)
        yield server
