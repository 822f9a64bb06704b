"""Finished run of the main job, and commands run as in the shell of a new user."""

import atexit
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STATE = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
atexit.register(shutil.rmtree, STATE, ignore_errors=True)  # benchmarks import this module, too


# Prefixes of variables that name state; those of the developer's shell must not affect a test.
STATE_VARIABLES = ("HOLDFAST_", "PREFECT_", "MLFLOW_", "BENTOML_", "FEAST_", "MAKE", "MFLAGS")


@dataclass(frozen=True)
class MainJob:
    """A finished run of the main job in another process; tests read its state and do not change it."""

    data: Path
    environment: dict[str, str]
    output: str
    summary: dict[str, Any]


def file_states(data: Path) -> dict[str, tuple[int, object]]:
    """Map path to size and modification time of each file of the state.

    Three small files are rewritten with the same content, so their digest replaces the time: BentoML's pointer to the
    latest model, MLflow's note next to a downloaded model, and the record of the last parity check.
    """
    found: dict[str, tuple[int, object]] = {}
    for folder in ("batches", "snapshots", "feast", "mlflow/artifacts", "bentoml/bentos", "bentoml/models", "staging"):
        for file in (data / folder).rglob("*"):
            if file.is_file():
                rewritten = file.name in ("registered_model_meta", "latest", "parity.json")
                mark = hashlib.sha256(file.read_bytes()).hexdigest() if rewritten else file.stat().st_mtime_ns
                found[file.relative_to(data).as_posix()] = (file.stat().st_size, mark)
    return found


def environment_of(data: Path) -> dict[str, str]:
    """Return the environment of a new user's shell: the checkout's virtual environment, state in ``data``."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(STATE_VARIABLES)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return bare | {"HOLDFAST_DATA": str(data), "HOLDFAST_KEYLESS": "loopback", "PATH": path}


def run(command: list[str], environment: dict[str, str], cwd: Path = ROOT, timeout: float = 300) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout + done.stderr
