"""The ingest flow and its command line. Its steps: tests/unit/ingestion, tests/integration/ingestion."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = "id,when,amount\n1,2025-01-01,5\n,2025-01-01,7\n2,2025-01-02,-5\n"
MAPPING = "columns: {customer_id: id, event_timestamp: when, amount: amount}\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / "data"))
    (tmp_path / "orders.csv").write_text(SOURCE)
    (tmp_path / "orders.yaml").write_text(MAPPING)
    return str(tmp_path / "orders.csv"), str(tmp_path / "orders.yaml")


def _artifact(key: str) -> Any:
    from prefect.artifacts import Artifact

    return Artifact.get(key)


def test_ingest_new_source_stores_and_reports_a_batch(
    prefect_server: None, files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import ingest
    from holdfast.ingestion.reading import reader
    from holdfast.ingestion.reading.file_content import FileVersion

    attempts, read_content = [], reader.read_content

    def flaky(file: Path) -> tuple[bytes, FileVersion]:
        attempts.append(file)
        if len(attempts) == 1:
            raise OSError("stale file handle")
        return read_content(file)

    monkeypatch.setattr(reader, "read_content", flaky)
    monkeypatch.setattr(ingest.read_task, "retry_delay_seconds", 0)
    result = ingest.ingest(*files)
    assert len(attempts) == 2
    assert (result.status, result.rows_added, result.rows_quarantined) == ("added", 2, 1)
    counts = _artifact("ingest-counts").data
    assert '{"what": "rows added", "rows": 2}' in counts
    assert '{"what": "bad: customer_id is missing", "rows": 1}' in counts
    assert "| orders.csv | 2 | customer_id is missing |" in _artifact("ingest-quarantine").data
    assert ingest.ingest(*files).status == "already ingested"


def test_ingest_folder_lists_its_files_in_an_artifact(prefect_server: None, files: tuple[str, str]) -> None:
    from flows.ingest import ingest

    folder = Path(files[0]).with_name("exports")
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.csv").write_text(SOURCE)
    (folder / "b.csv.part").write_text(SOURCE)
    ingest(str(folder), files[1])
    listed = _artifact("ingest-files").data
    assert '{"file": "sub/a.csv", "rows read": 3, "left out": ""}' in listed
    assert '{"file": "b.csv.part", "rows read": 0, "left out": "unfinished or temporary file"}' in listed


def test_ingest_with_replace_publishes_what_it_replaces(prefect_server: None, files: tuple[str, str]) -> None:
    from flows.ingest import ingest

    old = ingest(*files)
    Path(files[0]).write_text(SOURCE.replace(",5", ",6"))
    result = ingest(*files, replace=[str(old.batch_id)])
    assert result.replaces == (old.batch_id,)
    assert result.notes[-1] == "No registered model version was trained on the replaced rows."
    assert f"note: Replaced batch {old.batch_id}" in _artifact("ingest-counts").data
    assert ingest(*files, replace=[str(old.batch_id)]).status == "already ingested"


def test_ingest_source_without_mapping_raises(prefect_server: None, files: tuple[str, str]) -> None:
    from flows.ingest import ingest
    from holdfast.core.errors import IngestError

    for options in ({"source": files[0]}, {"mapping": files[1]}):
        with pytest.raises(IngestError, match="give both --source and --mapping"):
            ingest(**options)


def _command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    from prefect.settings import PREFECT_API_URL

    return subprocess.run(
        [sys.executable, "-m", "flows.ingest", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value())},
    )


@pytest.mark.long
def test_ingest_command_rejected_source_prints_no_traceback(prefect_server: None, files: tuple[str, str]) -> None:
    from prefect.settings import PREFECT_API_URL

    source, mapping = files
    done = _command("--source", source, "--mapping", mapping)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("added (batch ")
    Path(mapping).write_text(MAPPING + "time_zone: Europe/Paris\n")
    refused = _command("--source", source, "--mapping", mapping)
    assert refused.returncode == 1
    command = next(
        line for line in refused.stderr.splitlines() if line.startswith(f"  {sys.executable} ") and "--replace" in line
    )
    corrected = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value())},
    )
    assert corrected.stdout.startswith("added (batch "), corrected.stderr
    Path(source).write_text("id,when,total\n1,2025-01-01,5\n")
    refused = _command("--source", source, "--mapping", mapping)
    assert refused.returncode == 1
    assert "column 'amount', named in the mapping, is missing" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr + refused.stdout
    usage = _command("--sauce", source)
    assert usage.returncode == 2
    assert "--sauce" in usage.stderr
