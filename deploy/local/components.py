"""Components of a local Holdfast: commands, addresses and dependencies."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.settings import LocalSettings
from feature_repo.settings import Settings
from holdfast.core.host_check import is_loopback
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.runtime.prefect_access import API_URL, CLIENT_PASSWORD, read_password, server_variables

ROOT = Path(__file__).resolve().parents[2]
POOL = "holdfast"
WORKER = "make-up"
WAITING_FOR_CHAMPION = "waits for a champion"


@dataclass(frozen=True)
class Component:
    """Process of a local Holdfast.

    Attributes:
        description: Noun phrase for messages.
        page: URL for users; "": none.
        health: URL that responds with 200 when the component is ready; None: see
            :class:`deploy.local.startup.StartupMonitor`.
        port: Port to listen on; None: no server.
        requires: Names of the components that must be ready first.
        one_shot: The process ends when its work is done; otherwise the process is restarted when it ends.
        waiting_message: Text in the last line of the log while the component waits for an event that may be far away;
            the startup does not wait for such a component.
    """

    name: str
    description: str
    command: tuple[str, ...]
    page: str = ""
    health: str | None = None
    port: int | None = None
    requires: tuple[str, ...] = ()
    one_shot: bool = False
    waiting_message: str = ""

    @property
    def port_variable(self) -> str:
        """Return the environment variable of the port."""
        return f"HOLDFAST_{self.name.upper()}_PORT"

    @property
    def command_line(self) -> str:
        """Return the command as a shell command line."""
        return shlex.join(self.command)


def list_components(settings: Settings, local: LocalSettings) -> list[Component]:
    """List all components, each after those that it requires.

    Args:
        settings: Data folder and MLflow's tracking server; MLflow's server is no component when the tracking URI is
            the address of another server.
        local: Host and ports.

    Returns:
        The components.
    """
    tracking = settings.mlflow_tracking_uri
    embedded = not tracking.startswith(("http:", "https:"))
    components = [
        _server(
            "prefect", "Prefect's server", local, ["python", "-m", "deploy.local.prefect_server"], "/api/health",
        ),
        Component("prepare", "the databases", _python("deploy.local.prepare"), one_shot=True),
        Component(
            "deployments",
            "the deployments of prefect.yaml",
            _python("deploy.local.register_deployments"),
            requires=("prefect",),
            one_shot=True,
        ),
        Component(
            "worker",
            "the worker that runs flows",
            venv_command("prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", WORKER),
            requires=("deployments", "prepare"),
        ),
        _server(
            "status", "the status page", local, ["python", "-m", "holdfast", "status-page"], "/health",
            requires=("prepare",),
        ),
        _server(
            "service", "the prediction service", local, ["python", "-m", "deploy.local.service"], "/livez",
            requires=("prepare",), waiting_message=WAITING_FOR_CHAMPION,
        ),
        _server("mlflow", "MLflow's UI", local, _read_only("mlflow"), "/health", requires=("prepare",)),
        _server("evidently", "Evidently's UI", local, _read_only("evidently"), "/api/version", requires=("prepare",)),
        _server("feast", "Feast's UI", local, _read_only("feast"), "/", requires=("prepare",)),
    ]  # fmt: skip
    return [component for component in components if embedded or component.name != "mlflow"]


def component_environment(settings: Settings, local: LocalSettings) -> Mapping[str, str]:
    """Build the environment variables that all components share.

    Args:
        settings: Data folder and MLflow's tracking server.
        local: Host and ports.

    Returns:
        Variables for the data folder, Prefect's server with its password, and the addresses of all components.
    """
    password = read_password(settings)
    tracking = settings.mlflow_tracking_uri
    mlflow = tracking if tracking.startswith(("http:", "https:")) else local.url("mlflow")
    endpoints = EndpointSettings.from_environment()
    is_set = "runbook_url" in endpoints.model_fields_set
    runbook = endpoints.runbook_url if is_set else f"{local.url('status')}/runbook"
    return {
        **settings.environment(),
        **({"HOLDFAST_KEYLESS": os.environ.get("HOLDFAST_KEYLESS", "loopback")} if is_loopback(local.host) else {}),
        **server_variables(password, local.port("prefect")),
        API_URL: f"{local.url('prefect')}/api",
        CLIENT_PASSWORD: password,
        "PREFECT_UI_URL": local.url("prefect"),
        "PREFECT_CLI_PROMPT": "false",
        "HOLDFAST_SERVICE_URL": local.url("service"),
        "HOLDFAST_PREFECT_URL": local.url("prefect"),
        "HOLDFAST_MLFLOW_URL": mlflow,
        "HOLDFAST_EVIDENTLY_URL": local.url("evidently"),
        "HOLDFAST_FEAST_URL": local.url("feast"),
        "HOLDFAST_RUNBOOK_URL": runbook,
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }


def _server(
    name: str,
    description: str,
    local: LocalSettings,
    command: list[str],
    health: str,
    requires: tuple[str, ...] = (),
    waiting_message: str = "",
) -> Component:
    url, port = local.url(name), local.port(name)
    listen = ("--host", local.listen(name), "--port", str(port))
    start = clean_start_command(name, venv_command(*command) + listen)
    return Component(name, description, start, url, f"{url}{health}", port, requires, waiting_message=waiting_message)


def _read_only(name: str) -> list[str]:
    return ["python", "-m", "deploy.local.read_only_server", name]


def clean_start_command(name: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Extend a command so that processes of an earlier component of the same name are terminated first.

    Args:
        name: Name of the component.
        command: Program and arguments.

    Returns:
        The extended command.
    """
    return (*_python("deploy.local.orphans"), name, *command)


def _python(module: str) -> tuple[str, ...]:
    return venv_command("python", "-m", module)


def venv_command(name: str, *arguments: str) -> tuple[str, ...]:
    """Build a command of this Python's environment; a program on the path may have another version.

    Args:
        name: Program.
        *arguments: Arguments.

    Returns:
        The command.
    """
    return (str(Path(sys.executable).parent / name), *arguments)
