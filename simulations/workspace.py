"""State folder of a simulation, and the environment of every process that works on it."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from feature_repo.settings import NO_TELEMETRY, Settings
from holdfast.feast_stores.settings import FEATURE_REPO

ROOT = Path(__file__).resolve().parents[1]
StoreName = Literal["sqlite", "redis"]
_TOOLS = ("HOLDFAST_", "PREFECT_", "MLFLOW_", "FEAST_", "BENTOML_")
_TREES = ("deploy", "docs", "feature_repo", "flows", "holdfast", "services", "simulations")
_FILES = ("bentofile.yaml", "prefect.yaml", "pyproject.toml", "requirements.lock", "requirements-serving.lock")


@dataclass
class Workspace:
    """State folder of a simulation and the settings of its processes.

    Attributes:
        state: State folder.
        store: Kind of the online store.
        variables: Environment variables; each component adds its address when it has started.
        source: Source tree that the components run.
    """

    state: Path
    store: StoreName
    variables: dict[str, str] = field(default_factory=dict)
    source: Path = ROOT

    @property
    def data(self) -> Path:
        """Return the data folder."""
        return self.state / "data"

    @property
    def logs(self) -> Path:
        """Return the folder with the log of each component."""
        return self.state / "logs"

    def environment(self, **more: str) -> dict[str, str]:
        """Build the environment of a component.

        Args:
            **more: Additional variables.

        Returns:
            All variables; of the caller's shell only those that configure none of the tools.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_TOOLS)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return inherited | {"PATH": path, "PYTHONPATH": str(self.source)} | self.variables | more

    def add_variables(self, variables: dict[str, str]) -> None:
        """Add variables for components that start later, and for this process.

        Args:
            variables: Environment variables, such as the address of a server that has started.
        """
        self.variables |= variables
        self.apply_environment()

    def apply_environment(self) -> None:
        """Set the variables in this process, which works on the state folder as the components do."""
        os.environ.update(self.variables)


def create_workspace(state: Path, store: StoreName) -> Workspace:
    """Create the workspace of a simulation.

    Args:
        state: State folder; created if missing.
        store: Kind of the online store.

    Returns:
        The workspace, without addresses of servers.
    """
    variables = Settings(data=state / "data", clock="data").environment()
    variables = {name: value for name, value in variables.items() if name != "MLFLOW_TRACKING_URI"}
    variables |= NO_TELEMETRY | {
        "HOLDFAST_CLOCK": "data",
        "HOLDFAST_DATABASE": "",
        "HOLDFAST_KEYLESS": "loopback",
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
    return Workspace(state, store, variables)


def copy_source(target: Path) -> Path:
    """Copy all that is needed to run Holdfast.

    Args:
        target: Folder to create.

    Returns:
        ``target``.
    """
    target.mkdir(parents=True)
    for name in _TREES:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "images"))
    for name in _FILES:
        shutil.copy2(ROOT / name, target / name)
    return target


def replace_in_file(source: Path, file: str, old: str, new: str) -> None:
    """Replace a text that occurs exactly once in a file.

    Args:
        source: Source tree.
        file: Path of the file in the source tree.
        old: Text to replace.
        new: Replacement.

    Raises:
        ValueError: ``old`` occurs never or several times.
    """
    text = (source / file).read_text()
    if text.count(old) != 1:
        raise ValueError(f"{file} contains {old!r} {text.count(old)} times, not once: adapt the simulation.")
    (source / file).write_text(text.replace(old, new))
