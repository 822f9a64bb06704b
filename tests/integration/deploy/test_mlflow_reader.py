"""The service reads an MLflow server that refuses every change: an account with the permission READ is enough."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.models.registry_client import RegistryClient
from holdfast.runtime.processes import free_port
from tests.support.main_job import ROOT
from tests.support.registry import Registry, make_registry
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long


@pytest.fixture
def registry(data_dir: Path) -> Registry:
    """A registry in the data folder, whose model files are addressed through the tracking server."""
    found = make_registry(data_dir / "mlflow")
    found.set_alias(CHAMPION, found.register_model())
    folder = found.model_path("1").parent.relative_to(data_dir / "mlflow" / "artifacts")
    source = f"mlflow-artifacts:/{folder}"
    with closing(sqlite3.connect(data_dir / "mlflow" / "mlflow.db")) as database, database:
        database.execute("UPDATE model_versions SET source = ?, storage_location = ?", [source, source])
    return found


@pytest.fixture
def server(registry: Registry, data_dir: Path) -> Iterator[str]:
    """Address of the server of `make up`, which answers reads only."""
    port = free_port()
    environment = os.environ | Settings.from_environment().environment() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "deploy.local.read_only_server", "mlflow", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        wait_for(lambda: process.poll() is not None or is_up(port), 120)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_service_needs_only_reads_of_mlflow(server: str) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = RegistryClient(server)
    contract, content = client.download_by_alias(CHAMPION)
    assert contract.model_version == "1"
    assert content
    writer = MlflowClient(server, registry_uri=server)
    for change in (
        lambda: writer.set_registered_model_alias(MODEL_NAME, "challenger", "1"),
        lambda: writer.delete_registered_model_alias(MODEL_NAME, CHAMPION),
        lambda: writer.set_model_version_tag(MODEL_NAME, "1", "holdfast.signature", "{}"),
        lambda: writer.delete_model_version(MODEL_NAME, "1"),
    ):
        with pytest.raises(MlflowException, match="changes nothing"):
            change()
    assert client.get_by_alias(CHAMPION).tags.get("holdfast.signature") is None
