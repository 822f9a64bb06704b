"""Fixture that all contenders share: data folder, bento, online store and environment."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import redis
import yaml

from benchmarks.serving.processes import BenchmarkProcesses
from feature_repo.database_urls import sqlite_url
from feature_repo.settings import NO_TELEMETRY, Settings
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores.open_store import version_folder
from simulations.redis_server import RedisServer, running_redis

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
BATCH = 1000
SHADOW_REGISTRY = "mlflow-shadow"
_TOOLS = ("HOLDFAST_", "FEAST_", "BENTOML_", "MLFLOW_", "PREFECT_", "OTEL_")


@dataclass(frozen=True)
class BenchmarkFixture:
    """Fixture of the benchmark.

    Attributes:
        data: Data folder.
        bento: Tag of the bento.
        stock_store: Configuration of Feast's online store.
        store: Configuration of Holdfast's online store, on the same Redis server and registry.
        environment: Environment variables of all servers.
    """

    data: Path
    bento: str
    stock_store: Path
    store: Path
    environment: dict[str, str]

    def requests(self, name: str) -> Path:
        """Return a file with request bodies, one per line.

        Args:
            name: Name of the file, without suffix.

        Returns:
            Path of the file.
        """
        return self.data / "requests" / f"{name}.jsonl"

    @property
    def expected(self) -> dict[str, float]:
        """Return customer to probability, computed by scikit-learn on the offline features."""
        found: dict[str, float] = json.loads((self.data / "requests" / "expected.json").read_text())
        return found


def common_environment(data: Path, clock: str) -> dict[str, str]:
    """Build the environment of all servers, without settings of the user's shell.

    Args:
        data: Data folder.
        clock: Time of every request, ISO 8601.

    Returns:
        All environment variables.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_TOOLS)}
    return inherited | {
        **NO_TELEMETRY,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOLDFAST_DATA": str(data),
        "HOLDFAST_KEYLESS": "loopback",
        "HOLDFAST_CLOCK": clock,
        "BENTOML_HOME": str(data / "bentoml"),
        "MLFLOW_TRACKING_URI": sqlite_url(data / "mlflow" / "mlflow.db"),
    }


class FixtureError(HoldfastError):
    """The fixture cannot be built."""


def make_fixture(
    processes: BenchmarkProcesses, folder: Path, customers: int, family: str
) -> tuple[BenchmarkFixture, RedisServer]:
    """Build the fixture and start its Redis server.

    Args:
        processes: Processes of the benchmark, which end the Redis server.
        folder: Empty folder.
        customers: Number of customers.
        family: Family of the model.

    Returns:
        The fixture and the Redis server.

    Raises:
        FixtureError: The data folder cannot be built; contains the end of the error output.
    """
    from holdfast.packaging.bento import build_bento
    from holdfast.packaging.bento_stores import open_model_store
    from tests.support.service_state import AS_OF

    data = folder / "data"
    data.mkdir(parents=True)
    redis = processes.enter_context(running_redis(folder / "redis", append_only=False))
    address = redis.connection_string
    store = ROOT / "feature_repo" / "feature_store.redis.yaml"
    environment = common_environment(data, AS_OF.isoformat()) | {"HOLDFAST_REDIS": address}
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
        raise FixtureError(f"The data folder could not be built:\n{built.stderr[-3000:]}")
    settings = Settings(data=data)
    bento = build_bento(ROOT, settings, open_model_store(settings).get("holdfast-churn:latest").tag)
    stock = _write_stock_store(store, folder, data, address)
    return BenchmarkFixture(data, str(bento), stock, store, environment), redis


def _write_stock_store(profile: Path, folder: Path, data: Path, address: str) -> Path:
    """Write the configuration of Feast's own store of the only version of the feature definitions."""
    from tests.support.definition_versions import only_version

    config, version = yaml.safe_load(profile.read_text()), only_version(data)
    registry = data / version_folder(version) / Path(config["registry"]["path"]).name
    config["project"] = f"{config['project']}_{version}"
    config["registry"] = {"path": str(registry), "cache_ttl_seconds": 60}
    config["offline_store"] = {"type": "duckdb"}
    config["online_store"] = {"type": "redis", "connection_string": address}
    _copy_stock_keys(address, config["project"])
    stock = folder / "stock" / "feature_store.yaml"
    stock.parent.mkdir()
    stock.write_text(yaml.safe_dump(config))
    return stock


def _copy_stock_keys(address: str, project: str) -> None:
    """Copy the values to the keys of Feast's own store, which end in the project without the installation."""
    host, port = address.split(":")
    with redis.Redis(host, int(port)) as client:
        for key in client.scan_iter(f"*{project}@*", count=BATCH):
            client.copy(key, key[: key.rindex(b"@")])
