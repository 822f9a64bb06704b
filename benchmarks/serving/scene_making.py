"""Makes the scene: Redis, a data folder with features, models and bento, all in a folder that is removed afterwards."""

import subprocess
import sys
from pathlib import Path

import yaml

from benchmarks.serving.fixture import ROOT, Scene, common_environment
from benchmarks.serving.processes import HOST, Process, Processes
from benchmarks.serving.redis import start_redis
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError


class SceneError(HoldfastError):
    """The scene could not be made; holds the end of what the failed step said."""


def make_scene(processes: Processes, folder: Path, customers: int, family: str) -> tuple[Scene, Process]:
    """The scene and its Redis.

    Raises:
        SceneError: The world or the bento could not be built.
    """
    from flows.packaging.stores import model_store
    from holdfast.packaging.bento import build_bento
    from tests.services.world import AS_OF

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
    bento = build_bento(ROOT, settings, model_store(settings).get("holdfast-churn:latest").tag)
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
