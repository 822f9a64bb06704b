"""The parts of a local Holdfast: the command of each, where it answers, and what has to be there before it."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.settings import LocalSettings
from feature_repo.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
POOL = "holdfast"
WORKER = "make-up"
WAITS = "waits for a champion"


@dataclass(frozen=True)
class Part:
    """A process to keep running; one that is ``once`` ends by itself when it has done its work.

    ``health``: a URL that answers below 400 when it is there; None: it is there when it runs. ``page``: what a person
    opens. ``needs``: names of the parts that must be there before it starts. ``waits``: what its log says last while it
    waits for something that may be long in coming; nobody waits for it then.
    """

    name: str
    about: str
    command: tuple[str, ...]
    page: str = ""
    health: str | None = None
    port: int | None = None
    needs: tuple[str, ...] = ()
    once: bool = False
    waits: str = ""

    @property
    def port_variable(self) -> str:
        """What sets its port."""
        return f"HOLDFAST_{self.name.upper()}_PORT"

    @property
    def command_line(self) -> str:
        """As a shell would take it."""
        return shlex.join(self.command)


def parts(settings: Settings, local: LocalSettings) -> list[Part]:
    """All parts, those first that others need. The tracking server of the environment, if one is named, is not ours."""
    tracking = settings.mlflow_tracking_uri
    embedded = not tracking.startswith(("http:", "https:"))
    found = [
        _server(
            "prefect", "Prefect's server", local, ["prefect", "server", "start"], "/api/health",
        ),
        Part("prepare", "the databases", _python("deploy.local.prepare"), once=True),
        Part(
            "deployments",
            "the deployments of prefect.yaml",
            _python("deploy.local.register_deployments"),
            needs=("prefect",),
            once=True,
        ),
        Part(
            "worker",
            "the worker that runs flows",
            venv_command("prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", WORKER),
            needs=("deployments", "prepare"),
        ),
        _server(
            "status", "the status page", local, ["python", "-m", "holdfast.status_page"], "/health", needs=("prepare",),
        ),
        _server(
            "service", "the prediction service", local, ["python", "-m", "deploy.local.service"], "/livez",
            needs=("prepare",), waits=WAITS,
        ),
        _server(
            "mlflow", "MLflow's pages", local,
            ["mlflow", "server", "--backend-store-uri", tracking, "--workers", "1",
             "--artifacts-destination", (settings.mlflow / "artifacts").as_uri()],
            "/health", needs=("prepare",),
        ),
        _server(
            "evidently", "Evidently's pages", local, ["evidently", "ui", "--workspace", str(settings.evidently)],
            "/api/version", needs=("prepare",),
        ),
        _server(
            "feast", "Feast's pages", local, ["feast", "-c", str(ROOT / "feature_repo"), "ui"], "/",
            needs=("prepare",),
        ),
    ]  # fmt: skip
    return [part for part in found if embedded or part.name != "mlflow"]


def environment(settings: Settings, local: LocalSettings) -> Mapping[str, str]:
    """What every part is told: one state, one Prefect server, and where the others are."""
    tracking = settings.mlflow_tracking_uri
    mlflow = tracking if tracking.startswith(("http:", "https:")) else local.url("mlflow")
    return {
        **settings.environment(),
        "PREFECT_API_URL": f"{local.url('prefect')}/api",
        "PREFECT_UI_URL": local.url("prefect"),
        "PREFECT_CLI_PROMPT": "false",
        "HOLDFAST_SERVICE_URL": local.url("service"),
        "HOLDFAST_PREFECT_URL": local.url("prefect"),
        "HOLDFAST_MLFLOW_URL": mlflow,
        "HOLDFAST_EVIDENTLY_URL": local.url("evidently"),
        "HOLDFAST_FEAST_URL": local.url("feast"),
        "HOLDFAST_RUNBOOK_URL": os.environ.get("HOLDFAST_RUNBOOK_URL") or f"{local.url('status')}/runbook",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }


def _server(
    name: str,
    about: str,
    local: LocalSettings,
    command: list[str],
    health: str,
    needs: tuple[str, ...] = (),
    waits: str = "",
) -> Part:
    url, port = local.url(name), local.port(name)
    listen = ("--host", local.host, "--port", str(port))
    return Part(
        name, about, fresh(name, venv_command(*command) + listen), url, f"{url}{health}", port, needs, waits=waits
    )


def fresh(name: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """``command``, once nothing is left of an earlier part of that name."""
    return (*_python("deploy.local.orphans"), name, *command)


def _python(module: str) -> tuple[str, ...]:
    return venv_command("python", "-m", module)


def venv_command(name: str, *arguments: str) -> tuple[str, ...]:
    """The command of that name beside this Python: what is on the path may be another version."""
    return (str(Path(sys.executable).parent / name), *arguments)
