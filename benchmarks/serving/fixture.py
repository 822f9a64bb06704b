"""What all contenders share."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.serving.processes import HOST, Process, Processes
from benchmarks.serving.redis import start_redis
from feature_repo.settings import NO_TELEMETRY, Settings
from holdfast.core.errors import HoldfastError

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
BATCH = 1000
SHADOW_REGISTRY = "mlflow-shadow"
_STATE = ("HOLDFAST_", "FEAST_", "BENTOML_", "MLFLOW_", "PREFECT_", "OTEL_")


@dataclass(frozen=True)
class Scene:
    """The data folder, the bento, the configurations of the store (Feast's own and Holdfast's), and the environment."""

    data: Path
    bento: str
    stock_store: Path
    store: Path
    environment: dict[str, str]

    def questions(self, name: str) -> Path:
        """A file of request bodies, one per line."""
        return self.data / "questions" / f"{name}.jsonl"

    @property
    def expected(self) -> dict[str, float]:
        """Customer to probability, of scikit-learn on the offline features."""
        found: dict[str, float] = json.loads((self.data / "questions" / "expected.json").read_text())
        return found


def common_environment(data: Path, clock: str) -> dict[str, str]:
    """What every server is started with, whatever the caller's shell says; the time of every request is the same."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(_STATE)}
    return bare | {
        **NO_TELEMETRY,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOLDFAST_DATA": str(data),
        "HOLDFAST_CLOCK": clock,
        "BENTOML_HOME": str(data / "bentoml"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{data / 'mlflow' / 'mlflow.db'}",
    }


class SceneError(HoldfastError):
    """The scene could not be made; holds the end of what the failed step said."""


def make_scene(processes: Processes, folder: Path, customers: int, family: str) -> tuple[Scene, Process]:
    """The scene and its Redis.

    Raises:
        SceneError: The world or the bento could not be built.
    """
    from holdfast.packaging.bento import build_bento
    from holdfast.packaging.bento_stores import open_model_store
    from tests.support.service_state import AS_OF

    data = folder / "data"
    data.mkdir(parents=True)
    redis, port = start_redis(processes, folder)
    store, stock = _store_files(folder, data, f"{HOST}:{port}")
    environment = common_environment(data, AS_OF.isoformat()) | {"HOLDFAST_REDIS": f"{HOST}:{port}"}
    command = [
        sys.executable,
        "-m",
        "benchmarks.serving.fixture_data",
        "--customers",
        str(customers),
        "--family",
        family,
    ]
    built = subprocess.run(
        command,
        env=environment | {"FEAST_FS_YAML_FILE_PATH": str(store)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise SceneError(f"The data folder could not be built:\n{built.stderr[-3000:]}")
    settings = Settings(data=data)
    bento = build_bento(ROOT, settings, open_model_store(settings).get("holdfast-churn:latest").tag)
    return Scene(data, str(bento), stock, store, environment), redis


def _store_files(folder: Path, data: Path, address: str) -> tuple[Path, Path]:
    """Holdfast's configuration of the store, and Feast's own for the others: of the same Redis and registry."""
    profile = ROOT / "feature_repo" / "feature_store.redis.yaml"
    config = yaml.safe_load(profile.read_text())
    config["registry"] = {"path": str(data / config["registry"]["path"]), "cache_ttl_seconds": 60}
    config["offline_store"] = {"type": "duckdb"}
    config["online_store"] = {"type": "redis", "connection_string": address}
    stock = folder / "stock" / "feature_store.yaml"
    stock.parent.mkdir()
    stock.write_text(yaml.safe_dump(config))
    return profile, stock
