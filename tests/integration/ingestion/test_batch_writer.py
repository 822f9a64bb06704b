"""Storage of batches."""

import errno
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion import batch_writer
from holdfast.ingestion.batches import transaction_files
from holdfast.shared_state.work_locks import work_lock
from tests.support.ingest_pipeline import run_ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_commit_batch_writes_manifest_and_two_tables(
    settings: Settings, simple: Path, source: Callable, batches: Callable
) -> None:
    result = run_ingest(settings, source("1,2025-01-02,5,1", "1,2025-01-01,5,1", ",2025-01-01,5,1"), simple, NOW)
    folder = settings.batches / str(result.batch_id)
    assert sorted(path.name for path in folder.iterdir()) == [
        "batch.json",
        "quarantine.parquet",
        "transactions.parquet",
    ]
    manifest = json.loads((folder / "batch.json").read_text())
    assert {name: manifest[name] for name in manifest if "sha256" not in name} == {
        "batch_id": result.batch_id,
        "source": "source.csv",
        "ingested_at": "2026-01-01T00:00:00Z",
        "rows_read": 3,
        "rows_added": 2,
        "rows_already_known": 0,
        "rows_quarantined": 1,
        "rows_already_quarantined": 0,
        "first_event": "2025-01-01T00:00:00Z",
        "last_event": "2025-01-02T00:00:00Z",
        "rows_filtered": 0,
        "rows_from_refunds": 0,
        "replaces": [],
        "first_change": "2025-01-01T00:00:00Z",
        "kind": "transactions",
        "rows_from_columns": 0,
        "repeats": [],
        "mapping": {
            "columns": {"customer_id": "id", "event_timestamp": "when", "amount": "amount", "quantity": "quantity"},
            "max_bad_share": 1.0,
        },
    }
    (batch,) = batches()
    assert batch.ingested_at == NOW
    assert [str(field.type) for field in pq.read_schema(folder / "transactions.parquet")] == [
        "string", "timestamp[us, tz=UTC]", "double", "double", "string", "timestamp[us, tz=UTC]", "string",
    ]  # fmt: skip
    assert [str(field.type) for field in pq.read_schema(folder / "quarantine.parquet")] == [
        "string", "int64", "list<element: string>", "string", "timestamp[us, tz=UTC]", "string",
    ]  # fmt: skip
    assert transaction_files(settings) == [folder / "transactions.parquet"]


def test_commit_batch_of_grown_export_adds_new_rows_only(
    settings: Settings, simple: Path, source: Callable, tables: Callable
) -> None:
    lines = ["1,2025-01-01,5,1", "1,2025-01-01,5,1", ",2025-01-01,5,1"]
    run_ingest(settings, source(*lines), simple, NOW)
    lines += ["1,2025-01-01,5,1", ",2025-01-01,5,1", ",2025-01-01,6,1", "2,2025-01-01,5,1"]
    grown = run_ingest(settings, source(*lines), simple, NOW + timedelta(days=1))
    assert list(grown.counts.values()) == [7, 2, 2, 2, 1]
    assert grown.reasons == {"customer_id is missing": 3}
    transactions, quarantine = tables()
    assert transactions["customer_id"].tolist() == ["1", "1", "1", "2"]
    assert (
        transactions["ingested_at"].tolist()
        == [pd.Timestamp(NOW)] * 2 + [pd.Timestamp(NOW, unit="us") + pd.Timedelta(days=1)] * 2
    )
    assert quarantine["row_number"].tolist() == [3, 5, 6]


def test_commit_batch_without_new_rows_stores_nothing(
    settings: Settings, simple: Path, source: Callable, batches: Callable
) -> None:
    run_ingest(settings, source("1,2025-01-01,5,1", "2,2025-01-01,5,1", ",2025-01-01,5,1"), simple, NOW)
    part = run_ingest(settings, source(",2025-01-01,5,1", "2,2025-01-01,5.0,1"), simple, NOW)
    assert (part.status, part.batch_id, list(part.counts.values())) == ("nothing new", None, [2, 0, 1, 0, 1])
    assert len(batches()) == 1


def test_batch_depends_on_content_mapping_and_time_only(tmp_path: Path, simple: Path, source: Callable) -> None:
    found = []
    for number, name in enumerate(("a.csv", "a.csv")):
        settings = Settings(data=tmp_path / f"data{number}")
        run_ingest(settings, source("1,2025-01-01,5,1", name=name), simple, NOW)
        found.append({str(p.relative_to(settings.batches)): p.read_bytes() for p in settings.batches.rglob("*.*")})
    assert found[0] == found[1]
    assert len(found[0]) == 3
    simple.write_text(simple.read_text() + "time_zone: Europe/Paris\n")
    other = run_ingest(Settings(data=tmp_path / "data2"), source("1,2025-01-01,5,1", name="a.csv"), simple, NOW)
    assert other.batch_id not in {path.split("/")[0] for path in found[0]}


@pytest.mark.parametrize("file", ["transactions.parquet", "quarantine.parquet"])
def test_commit_batch_on_full_disk_stores_nothing(
    settings: Settings, simple: Path, source: Callable, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    write = pq.write_table

    def full(table: object, where: Path, **options: object) -> None:
        write(table, where, **options)
        if where.name == file:
            where.write_bytes(where.read_bytes()[:100])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    path = source("1,2025-01-01,5,1")
    with pytest.raises(OSError, match="No space left"):
        run_ingest(settings, path, simple, NOW)
    assert list(settings.batches.iterdir()) == list((settings.data / "staging").iterdir()) == []
    monkeypatch.undo()
    assert run_ingest(settings, path, simple, NOW).rows_added == 1


def test_commit_batch_with_held_lock_times_out(
    settings: Settings, simple: Path, source: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_writer, "_LOCK_SECONDS", 0.1)
    with (
        work_lock(settings, "ingest"),
        pytest.raises(IngestError, match=r"Another ingest is running in .* nothing was stored"),
    ):
        run_ingest(settings, source("1,2025-01-01,5,1"), simple)


def test_counts_of_a_source_with_filtered_rows_and_refunds_add_up(
    settings: Settings, source: Callable, tmp_path: Path, batches: Callable
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "columns: {customer_id: id, event_timestamp: when, amount: amount}\n"
        "where_not: {status: test}\nrefund: refunded\nmax_bad_share: 1\n"
    )
    header = "id,when,amount,status,refunded"
    lines = ["1,2025-01-01,5,paid,0", "2,2025-01-01,6,paid,2", "3,2025-01-01,7,test,7", ",2025-01-01,8,paid,8"]
    first = run_ingest(settings, source(*lines, header=header), rules, NOW)
    assert first.counts == {
        "rows read": 4,
        "rows added": 3,
        "rows already known": 0,
        "rows quarantined": 2,
        "rows already quarantined": 0,
        "rows filtered": 1,
        "rows from refunds": 2,
    }
    (batch,) = batches()
    assert (batch.rows_read, batch.rows_filtered, batch.rows_from_refunds) == (4, 1, 2)
    again = run_ingest(settings, source(*lines, header=header), rules, NOW + timedelta(1))
    assert (again.status, again.counts["rows already known"]) == ("already ingested", 3)
    grown = run_ingest(settings, source(*lines, "4,2025-01-02,1,test,", header=header), rules, NOW + timedelta(2))
    for result in (first, again, grown):
        total = sum(result.counts.values()) - result.rows_read - result.rows_from_refunds
        assert result.rows_read + result.rows_from_refunds == total
    assert (grown.status, grown.rows_filtered, grown.rows_already_known) == ("nothing new", 2, 3)
