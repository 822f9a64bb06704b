"""The files of a run, from a store that is elsewhere: what is downloaded does not stay in the temporary folder."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import MODEL_NAME
from holdfast.runtime.run_artifacts import RunUnavailableError, read_file, read_files
from tests.support.registered_versions import LENIENT, register_version
from tests.support.small_shop import AS_OF, KNOWN_AT


@pytest.fixture
def temporary(registry_shop: tuple[Settings, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, while MLflow downloads as it does from any store but a local one."""
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    monkeypatch.delattr(LocalArtifactRepository, "download_artifacts")  # it hands out the files where they are
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_file_as_it_was_logged(registry_shop: tuple[Settings, Any], temporary: Path) -> None:
    _, client = registry_shop
    run_id = client.get_model_version(MODEL_NAME, register_version(client)).run_id
    client.log_text(run_id, "told", "in/a/folder.txt")
    assert read_file(client, run_id, "in/a/folder.txt") == b"told"
    assert read_files(client, run_id, ["recipe.json", "none.json"]).keys() == {"recipe.json"}
    with pytest.raises(RunUnavailableError, match="run gone cannot be read"):
        read_files(client, "gone", ["recipe.json"])
    assert list(temporary.iterdir()) == []


def test_who_reads_a_version_leaves_nothing_behind(registry_shop: tuple[Settings, Any], temporary: Path) -> None:
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
    assert list(temporary.iterdir()) == []
