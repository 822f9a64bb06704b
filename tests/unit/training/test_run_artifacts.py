"""Tests of run artifacts in a remote store: no downloaded file stays in the temporary folder."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import MODEL_NAME
from holdfast.models.registered_version import NotServableError
from holdfast.training.run_artifacts import RunUnavailableError, read_file, read_files
from tests.support.http_server import PostHandler, running_http_server
from tests.support.registered_versions import LENIENT, register_version
from tests.support.small_shop import AS_OF, KNOWN_AT


@pytest.fixture
def temporary_folder(registry_shop: tuple[Settings, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the test, while MLflow downloads as from a remote store."""
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    monkeypatch.delattr(LocalArtifactRepository, "download_artifacts")  # returns the local files without a copy
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_read_file_returns_the_logged_content(registry_shop: tuple[Settings, Any], temporary_folder: Path) -> None:
    _, client = registry_shop
    run_id = client.get_model_version(MODEL_NAME, register_version(client)).run_id
    client.log_text(run_id, "content", "in/a/folder.txt")
    assert read_file(client, run_id, "in/a/folder.txt") == b"content"
    assert read_files(client, run_id, ["recipe.json", "none.json"]).keys() == {"recipe.json"}
    with pytest.raises(RunUnavailableError, match="run removed cannot be read"):
        read_files(client, "removed", ["recipe.json"])
    assert list(temporary_folder.iterdir()) == []


def test_read_file_of_a_changed_run_requests_nothing(registry_shop: tuple[Settings, Any], tmp_path: Path) -> None:
    """Who can write the registry can change the address of a run's artifacts, as that of a model file."""
    requests: list[str] = []

    class Handler(PostHandler):
        def do_GET(self) -> None:  # noqa: N802  name of the standard library
            requests.append(self.path)
            self.respond(200, b"x")

    settings, client = registry_shop
    run_id = client.get_model_version(MODEL_NAME, register_version(client)).run_id
    with running_http_server(Handler) as port:
        address = f"http://127.0.0.1:{port}/run"
        with closing(sqlite3.connect(settings.mlflow / "mlflow.db")) as database, database:
            database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", [address, run_id])
        for read in (lambda: read_file(client, run_id, "recipe.json"), lambda: read_files(client, run_id, ["a"])):
            with pytest.raises(NotServableError, match=r"names http://127\.0\.0\.1 as source"):
                read()
    assert requests == []


def test_readers_of_a_version_leave_no_temporary_file(
    registry_shop: tuple[Settings, Any], temporary_folder: Path
) -> None:
    from flows.gates import gates
    from holdfast.model_versions.gate_settings import GateSettings
    from holdfast.monitoring.drift.reference import load_training_rows
    from holdfast.training.mlflow_tracking import read_evaluation

    settings, client = registry_shop
    version = register_version(
        client, tags={"holdfast.as_of": AS_OF.isoformat(), "holdfast.known_at": KNOWN_AT.isoformat()}
    )
    assert gates(version, GateSettings(**LENIENT)).passed
    assert gates(version, GateSettings(**LENIENT)).computed is False
    assert read_evaluation(client, client.get_model_version(MODEL_NAME, version).run_id).rows
    assert len(load_training_rows(client, settings, version).y)
    assert list(temporary_folder.iterdir()) == []
