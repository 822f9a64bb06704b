"""Rejected sources: the error names the problem, its position and the remedy, and nothing is stored."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from tests.support.ingest_pipeline import run_ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "id,when,amount,quantity\n"
ROW = "1,2025-01-01,5,1\n"
MAPPING = "columns: {customer_id: id, event_timestamp: when, amount: amount, quantity: quantity}\n"


def _parquet(path: Path) -> bytes:
    pd.DataFrame({"id": ["1"]}).to_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "extra", "message"),
    [
        ("x.csv", b"", "", r"x\.csv is empty"),
        ("x.csv", b"\n\n", "", r"x\.csv is empty"),
        ("x.csv", HEADER.encode(), "", r"x\.csv has a header and no rows"),
        ("x.csv", HEADER.strip().encode(), "", r"x\.csv has a header and no rows"),
        ("x.csv", b"id,When,amount\n1,2,3\n", "", r"'when', named in the mapping, is missing.*Did you mean 'When'\?"),
        ("x.csv", b"id,when,sum\n1,2,3\n", "", r"'amount', named in the mapping, is missing.*'id', 'when', 'sum'"),
        ("x.csv", b"id;when;amount;quantity\n1;2;3;4\n", "", r"Only one column was found: set `delimiter:`"),
        ("x.csv", b"id,when,amount,quantity,id\n1,2,3,4,5\n", "", r"'id'.*appears more than once"),
        (
            "x.csv",
            (HEADER + "1,yesterday,5,1\n").encode(),
            "",
            r"'when' can be read as event_timestamp.*ISO 8601.*'yes",
        ),
        ("x.csv", (HEADER + ROW).encode(), "timestamp_format: '%d.%m.%Y'\n", r"expected the format '%d\.%m\.%Y'"),
        ("x.csv", (HEADER + "1,2025-01-01,five,1\n").encode(), "", r"'amount' can be read as amount.*a number"),
        ("x.csv", (HEADER + ",2025-01-01,5,1\n").encode(), "", r"'id' can be read as customer_id"),
        ("x.csv", (HEADER + "Zo\u00eb,2025-01-01,5,1\n").encode("latin-1"), "", r"line 2 has the byte 0xeb.*latin-1"),
        ("x.csv", (HEADER + ROW).encode("utf-16-le"), "", r"utf-16-le text without a byte order mark.*`encoding: utf"),
        ("x.csv", (HEADER + ROW).encode("utf-16-be"), "", r"utf-16-be text without a byte order mark.*`encoding: utf"),
        ("x.csv", (HEADER + ROW).encode("utf-16"), "encoding: latin-1\n", r"is utf-16 text.*not iso8859-1"),
        ("x.csv", (HEADER + ROW).encode("utf-8-sig"), "encoding: cp1252\n", r"is utf-8 text.*not cp1252"),
        ("x.csv", (HEADER + ROW).encode("utf-16")[:-1], "", r"ends within a character, in line 2: the file was cut"),
        ("x.csv", (HEADER + "1,2025-01-01,5,1,Zo\u00eb").encode()[:-1], "", r"ends within a character, in line 2"),
        ("x.csv", (HEADER + ROW + "2,2025-01-01,5\x00,1\n").encode(), "", r"NUL characters, the first in line 3"),
        (
            "x.csv",
            (HEADER + "Zo\u00eb,2025-01-01,5,1\n").encode(),
            "encoding: cp1252\n",
            r"line 2 reads 'Zo\u00eb,2.*as utf-8 and 'Zo\u00c3\u00ab,2.*as cp1252. Set `encoding: utf-8`",
        ),
        ("x.csv", (HEADER + "Zo\u00eb,2025-01-01,5,1\n").encode("latin-1"), "", r"'Zo\u00eb,2025-01-01,5,1' as cp1252"),
        (
            "x.csv",
            (HEADER + "\u0418\u0432\u0430\u043d\u043e\u0432,2025-01-01,5,1\n").encode("cp1251"),
            "",
            r"'\u0418\u0432\u0430\u043d\u043e\u0432,2025-01-01,5,1' as cp1251",
        ),
        ("x.csv", bytes(range(256)) * 9, "", r"binary, not a table"),
        ("x.csv", bytes(range(256)) * 9, "encoding: latin-1\n", r"contains NUL characters"),
        (
            "x.csv",
            (HEADER + ROW + '2,2025-01-01,5,"1\n' + ROW * 5).encode(),
            "",
            r"row 2 is never closed.*`quoted: false`",
        ),
        ("x.csv", (HEADER + ROW + '2,"2025-01-01,5,1\n' + ROW * 5).encode(), "", r"row 2 is never closed"),
        ("x.csv.gz", gzip.compress((HEADER + ROW * 99).encode(), mtime=0)[:-9], "", r"broken gzip"),
        ("x.csv.gz", (HEADER + ROW).encode(), "", r"not gzip although its name ends in \.gz"),
        ("x.parquet", b"PAR1 and then nothing", "", r"not a readable Parquet file"),
        ("x.parquet", (HEADER + ROW).encode(), "", r"not a readable Parquet file"),
        ("x.parquet", "parquet", "", r"'when', named in the mapping, is missing"),
        (
            "x.csv",
            (HEADER + ROW + ",2025-01-01,5,1\n" + "1,2025-01-01,0,1\n" * 2).encode(),
            "",
            r"(?s)3 of 4 rows are bad, more than max_bad_share 0\.5.*2  amount is 0.*1  customer_id is missing",
        ),
    ],
)
def test_ingest_of_invalid_file_raises_and_stores_nothing(
    tmp_path: Path, settings: Settings, name: str, content: bytes | str, extra: str, message: str
) -> None:
    path, mapping = tmp_path / name, tmp_path / "mapping.yaml"
    path.write_bytes(_parquet(path) if isinstance(content, str) else content)
    mapping.write_text(MAPPING + extra)
    with pytest.raises(IngestError, match=message):
        run_ingest(settings, path, mapping, NOW)
    assert not settings.data.exists()


def test_ingest_of_missing_path_or_folder_without_tables_raises(
    tmp_path: Path, settings: Settings, simple: Path
) -> None:
    with pytest.raises(IngestError, match=r"nowhere does not exist.*--source"):
        run_ingest(settings, tmp_path / "nowhere", simple)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.pdf").write_text("x")
    (folder / ".hidden.csv").write_text(HEADER + ROW)
    with pytest.raises(IngestError, match=r"has no readable file. Readable names end in \.csv"):
        run_ingest(settings, folder, simple)


def test_ingested_at_before_newest_batch_raises(
    settings: Settings, simple: Path, source: Callable[..., Path], batches: Callable
) -> None:
    run_ingest(settings, source("1,2025-01-01,5,1"), simple, NOW)
    before = batches()
    for time in (NOW, NOW - timedelta(days=1)):
        with pytest.raises(IngestError, match=r"is not later than 2026-01-01.*earlier known_at"):
            run_ingest(settings, source("2,2025-01-01,5,1"), simple, time)
    assert batches() == before
    assert list((settings.data / "staging").iterdir()) == []
    assert run_ingest(settings, source("2,2025-01-01,5,1"), simple, NOW + timedelta(microseconds=1)).rows_added == 1
