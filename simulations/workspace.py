"""A simulation's state folder, and what every process that works on it is told."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from feature_repo.settings import NO_TELEMETRY, Settings
from holdfast.feast_stores.open_store import FEATURE_REPO

ROOT = Path(__file__).resolve().parents[1]
StoreName = Literal["sqlite", "redis"]
TOOLS = ("HOLDFAST_", "PREFECT_", "MLFLOW_", "FEAST_", "BENTOML_")


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
        "PREFECT_CLI_PROMPT": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "NO_COLOR": "1",
    }
    if store == "redis":
        variables["FEAST_FS_YAML_FILE_PATH"] = str(FEATURE_REPO / "feature_store.redis.yaml")
    (state / "prefect").mkdir(parents=True, exist_ok=True)
    return Place(state, store, variables)


def tool(name: str, *arguments: str) -> list[str]:
    """The command of that name beside this Python."""
    return [str(Path(sys.executable).parent / name), *arguments]


_TREES = ("deploy", "docs", "feature_repo", "flows", "holdfast", "services", "simulations")
_FILES = ("bentofile.yaml", "prefect.yaml", "pyproject.toml", "requirements.lock", "requirements-serving.lock")


def copy_source(to: Path) -> Path:
    """All that is needed to run Holdfast from ``to``."""
    to.mkdir(parents=True)
    for name in _TREES:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "pictures"))
    for name in _FILES:
        shutil.copy2(ROOT / name, to / name)
    return to


def change(source: Path, file: str, old: str, new: str) -> None:
    """Change what stands once in a file.

    Raises:
        ValueError: It does not.
    """
    text = (source / file).read_text()
    if text.count(old) != 1:
        raise ValueError(f"{file} holds {old!r} {text.count(old)} times, not once: change the simulation with it.")
    (source / file).write_text(text.replace(old, new))
