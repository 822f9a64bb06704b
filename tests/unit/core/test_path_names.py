"""Tests of names that become parts of a path, read from records that an attacker may have changed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.settings import Settings
from holdfast.core.path_names import PathNameError, require_path_name, split_paths
from holdfast.feast_stores.open_store import version_folder
from holdfast.ingestion.batches import list_batches
from holdfast.monitoring.drift.reference import load_reference

_ESCAPES = ["../other", "..", ".", "", "/etc", "a/b", "a\\b", "a\0b", "-rf", "~", "a\n", "a" * 300, "é"]


@given(st.text(max_size=40) | st.sampled_from(_ESCAPES))
def test_require_path_name_result_stays_in_the_folder(name: str) -> None:
    try:
        require_path_name(name, "id")
    except PathNameError:
        return
    folder = Path("/data/folder")
    assert (folder / name).resolve().parent == folder


@pytest.mark.parametrize("name", ["0123456789ab", "2024-01-01_sales-3", "v3-0a1b.parquet", "as_of=2024"])
def test_require_path_name_accepts_own_names(name: str) -> None:
    assert require_path_name(name, "id") == name


@pytest.mark.parametrize("name", _ESCAPES)
def test_version_folder_of_a_path_raises(name: str) -> None:
    with pytest.raises(PathNameError, match="is no id of a version of the feature definitions"):
        version_folder(name)


def test_list_batches_with_a_path_as_id_raises(tmp_path: Path) -> None:
    """The paths of a batch's files are built from the id in its manifest."""
    folder = tmp_path / "batches" / "one"
    folder.mkdir(parents=True)
    required = {"source": "x", "source_sha256": "0", "mapping_sha256": "0", "ingested_at": "2024-01-01T00:00:00Z"}
    counts = ("rows_read", "rows_added", "rows_already_known", "rows_quarantined", "rows_already_quarantined")
    manifest = (
        required | dict.fromkeys(counts, 0) | {"batch_id": "../../other", "first_event": None, "last_event": None}
    )
    (folder / "batch.json").write_text(json.dumps(manifest))
    with pytest.raises(PathNameError, match="is no batch id"):
        list_batches(Settings(data=tmp_path, mlflow_tracking_uri="sqlite://"))


def test_split_paths_divides_lists_and_leaves_existing_paths_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "at 10:30.csv").touch()
    assert split_paths(["at 10:30.csv", "~/at 10:30.csv"]) == ["at 10:30.csv", "~/at 10:30.csv"]
    assert split_paths(["a.csv: /b c.csv ::", " d ", ""]) == ["a.csv", "/b c.csv", " d "]
    assert split_paths([":".join(["x" * 200] * 40)]) == ["x" * 200] * 40


@given(st.sampled_from([name for name in _ESCAPES if name]))
def test_load_reference_with_a_path_as_run_id_raises(run_id: str) -> None:
    """The reference of a version is stored under the run that the registry names."""
    version = SimpleNamespace(version="1", name="holdfast-churn", tags={}, run_id=run_id)
    client: Any = SimpleNamespace(model_name="holdfast-churn", get_model_version=lambda *_: version)
    with pytest.raises(PathNameError, match="is no run id"):
        load_reference(client, Settings(data=Path("/nowhere"), mlflow_tracking_uri="sqlite://"), "1")
