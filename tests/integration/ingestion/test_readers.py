"""Readers of CSV, text and Parquet sources."""

import gzip
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.settings import Settings
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_file import load_mapping
from holdfast.ingestion.reading.reader import read_source
from tests.support.ingest_pipeline import run_ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATA = Path(__file__).parents[2] / "data"
RETAIL, RETAIL_MAPPING = DATA / "retail_export.csv", DATA / "retail_export.yaml"


def _typed_parquet(path: Path) -> Path:
    """Convert the retail export to a table with typed numbers and timestamps."""
    table = pd.read_csv(RETAIL, encoding="latin-1").dropna(subset="Country")  # pandas would fill the short row
    table["InvoiceDate"] = pd.to_datetime(table["InvoiceDate"], format="%d/%m/%Y %H:%M", errors="coerce")
    table["Price"] = pd.to_numeric(table["Price"], errors="coerce")
    table.to_parquet(path)
    return path


def test_retail_export_is_split_into_rows_and_reasons(settings: Settings, tables: Callable) -> None:
    result = run_ingest(settings, RETAIL, RETAIL_MAPPING, NOW)
    transactions, quarantine = tables()
    assert (result.rows_read, result.rows_added, result.rows_quarantined) == (14, 8, 6)
    assert set(transactions["customer_id"]) == {"13085", "13078", "16321", "17592", "14911"}
    june = transactions[transactions["customer_id"] == "13078"]
    assert june["event_timestamp"].tolist() == [pd.Timestamp("2010-06-01 08:06", tz="UTC")] * 2  # British summer time
    returns = transactions[transactions["amount"] < 0]
    assert returns[["customer_id", "amount", "quantity"]].values.tolist() == [
        ["16321", -35.4, -12.0],
        ["17592", -12.75, -3.0],  # cancelled: a return although its quantity is positive
    ]
    assert dict(zip(quarantine["row_number"], map(list, quarantine["reasons"]), strict=True)) == {
        8: ["customer_id is missing"],
        9: ["customer_id is missing", "amount is 0: neither a purchase nor a return"],
        10: ["amount is 0: neither a purchase nor a return"],
        11: ["amount and quantity have opposite signs"],
        12: ["event_timestamp is not a timestamp", "unit_price is not a number"],
        13: ["wrong number of fields"],
    }
    assert set(quarantine["source_file"]) == {"retail_export.csv"}
    assert '"Description": "85123a mixed"' in quarantine["raw"][2]
    assert quarantine["raw"][5] == '"489471,22144,CHRISTMAS CRAFT,2,01/02/2010 10:00,2.1,14911.0"'


def test_read_source_gives_the_same_rows_in_every_format(tmp_path: Path, tables: Callable) -> None:
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(RETAIL.read_bytes()))
    strings = tmp_path / "strings.parquet"
    text = pd.read_csv(RETAIL, encoding="latin-1", dtype=str, keep_default_na=False)
    pq.write_table(pa.Table.from_pandas(text[text["Country"] != ""]), strings)
    found = []
    for number, path in enumerate((RETAIL, packed, strings, _typed_parquet(tmp_path / "typed.parquet"))):
        settings = Settings(data=tmp_path / str(number))
        run_ingest(settings, path, RETAIL_MAPPING, NOW)
        frame = pd.read_parquet(next(settings.batches.glob("*/transactions.parquet")))
        found.append(frame.drop(columns="batch_id"))
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other, check_exact=True)


def test_second_ingest_in_another_format_adds_nothing(tmp_path: Path, settings: Settings, batches: Callable) -> None:
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(RETAIL.read_bytes()))
    first = run_ingest(settings, RETAIL, RETAIL_MAPPING, NOW)
    for path in (RETAIL, packed):
        again = run_ingest(settings, path, RETAIL_MAPPING, NOW)
        assert (again.status, again.batch_id, again.rows_added) == ("already ingested", first.batch_id, 0)
        assert (again.rows_already_known, again.rows_already_quarantined) == (8, 6)
    typed = run_ingest(settings, _typed_parquet(tmp_path / "typed.parquet"), RETAIL_MAPPING, NOW + timedelta(days=1))
    assert (typed.rows_added, typed.rows_already_known) == (0, 8)


def test_read_source_of_a_folder_gives_one_table(
    tmp_path: Path, settings: Settings, simple: Path, tables: Callable
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.csv").write_text("id,when,amount,quantity\n3,2025-01-03,5,1\n,2025-01-03,5,1\n")
    frame = {"id": [1.0], "when": [pd.Timestamp("2025-01-01")], "amount": [5.5], "quantity": [2]}
    pd.DataFrame(frame).to_parquet(folder / "a.parquet")
    (folder / "c.csv.gz").write_bytes(gzip.compress(b"quantity,amount,when,id\n1,5,2025-01-04,4\n"))
    (folder / "d.csv").write_text("id,when,amount,quantity\n")  # a part without rows
    (folder / "_SUCCESS").touch()
    assert run_ingest(settings, folder, simple, NOW).rows_read == 4
    transactions, quarantine = tables()
    assert transactions["customer_id"].tolist() == ["1", "3", "4"]
    assert quarantine[["source_file", "row_number"]].values.tolist() == [["b.csv", 2]]


def test_source_digest_depends_on_content_not_on_names(tmp_path: Path, simple: Path) -> None:
    rules = load_mapping(simple)
    content = b"id,when,amount,quantity\n1,2025-01-01,5,1\n"
    names = {"one.csv": content, "two.txt": content, "three.csv.gz": gzip.compress(content)}
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    assert {read_source(tmp_path / name, rules).sha256 for name in names} == {hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_read_source_with_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("id,when,amount\nZoë,2025-01-01,5\n".encode(encoding))
    columns = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
    rules = ColumnMapping.model_validate({"columns": columns, "encoding": encoding.removesuffix("-sig")})
    assert read_source(path, rules).files[0].rows.to_pydict() == {
        "id": ["Zoë"],
        "when": ["2025-01-01"],
        "amount": ["5"],
    }


def test_row_numbers_count_rows_not_lines(checked: Callable) -> None:
    text = 'id,when,amount,note\n\n1,2025-01-01,5,"a\nb"\n\n,2025-01-01,5,c\n1,2025-01-01\n1,2025-01-01,5,d\n,,,\n'
    quarantine = checked(text).quarantine
    assert dict(zip(quarantine["row_number"], quarantine["raw"], strict=True)) == {
        2: '{"id": "", "when": "2025-01-01", "amount": "5", "note": "c"}',
        3: '"1,2025-01-01"',
        5: '{"id": "", "when": "", "amount": "", "note": ""}',
    }


def test_rows_between_stray_quotes_are_quarantined(checked: Callable) -> None:
    rows = ["1,2025-01-01,5,fine", '2,2025-01-02,5,"open', "3,2025-01-03,5,inside", '4,2025-01-04,5,"close']
    result = checked("id,when,amount,note\n" + "\n".join(rows) + "\n")
    assert result.rows["customer_id"].tolist() == ["1"]
    assert result.quarantine["reasons"].tolist() == [["a stray quote made one value of several rows"]]
    assert "3,2025-01-03,5,inside" in result.quarantine["raw"][0]
    plain = checked("id,when,amount,note\n" + "\n".join(rows) + "\n", quoted=False)
    assert plain.rows["customer_id"].tolist() == ["1", "2", "3", "4"]
    # A proper quoted value may hold what looks like a row.
    assert len(checked('id,when,amount,note\n1,2025-01-01,5,"a\n2,2025-01-02,5,b"\n').rows) == 1


def test_repeated_unmapped_column_loses_no_value(checked: Callable) -> None:
    raw = checked("id,when,amount,x,x\n,2025-01-01,5,left,right\n1,2025-01-01,5,,\n").quarantine["raw"]
    assert raw.tolist() == ['{"id": "", "when": "2025-01-01", "amount": "5", "x": "left", "x (5)": "right"}']


def test_parquet_types_are_converted_to_csv_strings(tmp_path: Path, simple: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table(
        {
            "id": pa.array([13085.0, None, 12345678901234.0]),
            "when": pa.array([0, 1_500_000, None], pa.timestamp("us", tz="Europe/Paris")),
            "amount": pa.array([11.77, 2.5, None], pa.float32()),
            "quantity": pa.array([1, 2, 3], pa.int8()),
            "tags": pa.array([["a"], None, []]),
            "kind": pa.array(["x", None, "x"]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)
    assert read_source(path, load_mapping(simple)).files[0].rows.to_pydict() == {
        "id": ["13085.0", "", "12345678901234.0"],
        "when": ["1970-01-01 01:00:00+0100", "1970-01-01 01:00:01.500000+0100", ""],
        "amount": ["11.77", "2.5", ""],
        "quantity": ["1", "2", "3"],
        "tags": ['["a"]', "", "[]"],
        "kind": ["x", "", "x"],
    }


def test_files_of_a_folder_are_read_by_their_own_rules(tmp_path: Path, settings: Settings, tables: Callable) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "2019-01.csv").write_text("id;Datum;Betrag\n1;31.01.2019;1.234,50\n", encoding="utf-8")
    (folder / "2020-01.csv").write_text("id,when,amount\n1,2020-01-31,2.25\n")
    (folder / "2021-01.csv").write_text("id;Datum;Betrag\n1;28.02.2021;3,75\n")
    rules = tmp_path / "rules.yaml"
    rules.write_text("""
columns: {customer_id: id, event_timestamp: when, amount: amount}
files:
  - match: 2020-*
  - match: "*"
    columns: {event_timestamp: Datum, amount: Betrag}
    delimiter: ";"
    decimal: ","
    timestamp_format: "%d.%m.%Y"
""")
    run_ingest(settings, folder, rules, NOW)
    transactions, _ = tables()
    assert transactions["amount"].tolist() == [1234.5, 2.25, 3.75]
    assert transactions["event_timestamp"].dt.date.astype(str).tolist() == ["2019-01-31", "2020-01-31", "2021-02-28"]
