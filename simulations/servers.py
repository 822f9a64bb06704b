"""The parts of a running Holdfast: Prefect's server and worker, MLflow's server, the service."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import (
    HOST,
    ManagedProcess,
    ProcessNotReadyError,
    free_port,
    health_problem,
    log_tail,
    managed_process,
    start_process,
)
from simulations.workspace import Place, tool

_READY_SECONDS = 180.0


class PartError(HoldfastError):
    """A part does not start, or is not installed."""


@contextmanager
def mlflow_server(where: Place) -> Iterator[ManagedProcess]:
    """MLflow's server on the state's database; artifacts go through it, so that the state may be moved."""
    port, folder = free_port(), where.data / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    command = tool(
        "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--serve-artifacts",
        "--artifacts-destination", str(folder / "artifacts"), "--host", HOST, "--port", str(port), "--workers", "1",
    )  # fmt: skip
    with _server(where, "mlflow", command, f"http://{HOST}:{port}/health") as server:
        where.variables |= dict.fromkeys(("MLFLOW_TRACKING_URI", "HOLDFAST_MLFLOW_URL"), f"http://{HOST}:{port}")
        yield server


@contextmanager
def prefect_server(where: Place) -> Iterator[ManagedProcess]:
    """Prefect's server on a database of the state's own."""
    port = free_port()
    command = tool("prefect", "server", "start", "--host", HOST, "--port", str(port))
    with _server(where, "prefect", command, f"http://{HOST}:{port}/api/health") as server:
        url = f"http://{HOST}:{port}"
        where.variables |= {"PREFECT_API_URL": f"{url}/api", "PREFECT_UI_URL": url, "HOLDFAST_PREFECT_URL": url}
        yield server


def deploy(where: Place) -> None:
    """Everything of prefect.yaml, as `make up` does it.

    Raises:
        PartError: It failed; holds the end of what it said.
    """
    log = where.logs / "deploy.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local.register_deployments"],
            cwd=where.source,
            env=where.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise PartError(f"The deployments of prefect.yaml cannot be made.\n{log_tail(log)}")


def start_worker(where: Place) -> ManagedProcess:
    """A worker that runs what is due; whoever starts it ends it."""
    command = tool("prefect", "worker", "start", "--pool", "holdfast", "--type", "process")
    return start_process("worker", command, where.environment(), where.logs / "worker.log", where.source)


def start_service(where: Place, port: int, variables: Mapping[str, str]) -> ManagedProcess:
    """`bentoml serve` of the service, ready; whoever starts it ends it."""
    command = tool("bentoml", "serve", "services.churn:ChurnService", "--host", HOST, "--port", str(port))
    told = where.environment(**variables)
    server = start_process("service", command, told, where.logs / "service.log", where.source)
    ready(server, lambda: health_problem(f"http://{HOST}:{port}/readyz"))
    return server


@contextmanager
def _server(where: Place, name: str, command: list[str], health: str) -> Iterator[ManagedProcess]:
    with managed_process(name, command, where.environment(), where.logs / f"{name}.log", where.source) as server:
        ready(server, lambda: health_problem(health))
        yield server


def ready(server: ManagedProcess, why_not: Callable[[], str | None]) -> None:
    """Wait until ``why_not`` returns None; a part that does not come up is ended.

    Raises:
        PartError: It does not; holds the end of its log.
    """
    try:
        server.wait_until_ready(why_not, _READY_SECONDS)
    except ProcessNotReadyError as error:
        server.terminate()
        raise PartError(str(error)) from None


def wait_until(condition: Callable[[], object], within: float, what: str) -> None:
    """Wait until it holds.

    Raises:
        PartError: It does not in time.
    """
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise PartError(f"{what} did not happen within {within:g} seconds.")
        time.sleep(0.2)
