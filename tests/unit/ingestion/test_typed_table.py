"""Types of Parquet, Arrow and ORC columns: each follows the mapping as a CSV column does, or is refused by name."""

import io
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.parquet_reader import read_arrow, read_orc, read_parquet
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.reading.typed_table import convert_table
from holdfast.ingestion.validation import validate_source
from tests.support.typed_sources import typed_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
UUIDS = [uuid.UUID(int=1), uuid.UUID(int=2**127 + 255)]


def _mapping(**keys: Any) -> ColumnMapping:
    return ColumnMapping.model_validate({"columns": COLUMNS, "max_bad_share": 1, **keys})


def _transactions(ids: Any, when: Any, amount: Any, **keys: Any) -> list[tuple]:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": ids, "when": when, "amount": amount}), buffer)
    rules = _mapping(**keys)
    result = validate_source(typed_source(read_parquet("x.parquet", buffer.getvalue(), rules)), rules, NOW)
    frame = result.rows[["customer_id", "event_timestamp", "amount"]]
    return [(row.customer_id, row.event_timestamp.isoformat(), row.amount) for row in frame.itertuples()]


IDS = pa.array(["a", "b"])
TIMES = pa.array(["2025-01-01", "2025-01-02"])
AMOUNTS = pa.array([5.5, 12.25])
LOCAL = pa.array(["2025-01-01 00:00:00", "2025-07-02 09:30:00"])


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([b"a", b"b"]), ["a", "b"]),
        (pa.array([b"a", b"b"], pa.large_binary()), ["a", "b"]),
        (pa.array([b"a\0\0", b"b\0\0"], pa.binary(3)), ["a", "b"]),
        (pa.array(["Zoë".encode(), b"b"]), ["Zoë", "b"]),
        (pa.array([value.bytes for value in UUIDS], pa.binary(16)), [str(value) for value in UUIDS]),
        (pa.array([value.bytes for value in UUIDS]), [str(value) for value in UUIDS]),
        (pa.array([value.bytes for value in UUIDS], pa.uuid()), [str(value) for value in UUIDS]),
        (pa.array([Decimal(42), Decimal(10) ** 20], pa.decimal128(38, 0)), ["42", "1" + "0" * 20]),
        (pa.array([Decimal("42.00"), Decimal("7.00")], pa.decimal128(12, 2)), ["42", "7"]),
        (pa.array([9007199254740993, 2]), ["9007199254740993", "2"]),
        (pa.array([2**64 - 1, 2], pa.uint64()), ["18446744073709551615", "2"]),
        (pa.array([13085.0, 42.0]), ["13085", "42"]),
        (pa.array(["00042", "b"]).dictionary_encode(), ["00042", "b"]),
        (pa.array([13085, 42]).dictionary_encode(), ["13085", "42"]),
        (pa.array([b"a", b"b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_parquet_ids_of_each_type_are_those_of_text(ids: pa.Array, expected: list[str]) -> None:
    assert [row[0] for row in _transactions(ids, TIMES, AMOUNTS)] == expected


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        (pa.array([5.5, 1234.25]), [5.5, 1234.25]),
        (pa.array([5.5, 1234.25], pa.float32()), [5.5, 1234.25]),
        (pa.array(np.array([5.5, 12.25], np.float16)), [5.5, 12.25]),
        (pa.array([Decimal("5.50"), Decimal("1234.25")], pa.decimal128(12, 2)), [5.5, 1234.25]),
        (pa.array([Decimal("5.50"), Decimal("1234.25")], pa.decimal256(60, 2)), [5.5, 1234.25]),
        (pa.array([5, 1234], pa.int16()), [5, 1234]),
        (pa.array([5, 1234], pa.uint32()), [5, 1234]),
        (pa.array([1e-5, 123456789012.0]), [0.00001, 123456789012.0]),
        (pa.array([1.5, 1234.25]).dictionary_encode(), [1.5, 1234.25]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_parquet_numbers_are_exact_whatever_the_decimal_key(
    amounts: pa.Array, expected: list[float], decimal: str
) -> None:
    assert [row[2] for row in _transactions(IDS, TIMES, amounts, decimal=decimal)] == expected


@pytest.mark.parametrize(
    ("times", "keys", "expected"),
    [
        (pa.array([date(2025, 1, 1), date(2025, 7, 2)], pa.date32()), {}, "2025-07-02T00:00:00+00:00"),
        (pa.array([date(2025, 1, 1), date(2025, 7, 2)], pa.date64()), {}, "2025-07-02T00:00:00+00:00"),
        (
            pa.array([date(2025, 1, 1), date(2025, 7, 2)]),
            {"time_zone": "Europe/London"},
            "2025-07-01T23:00:00+00:00",
        ),
        (LOCAL.cast(pa.timestamp("us")), {}, "2025-07-02T09:30:00+00:00"),
        (
            LOCAL.cast(pa.timestamp("s")),
            {"time_zone": "Asia/Kolkata"},
            "2025-07-02T04:00:00+00:00",
        ),
        (
            pa.array([0, 1751448600123456789], pa.timestamp("ns", "America/New_York")),
            {"time_zone": "Asia/Kolkata"},
            "2025-07-02T09:30:00.123456+00:00",
        ),
        (pa.array([0, 1751448600], pa.timestamp("s", "+05:30")), {}, "2025-07-02T09:30:00+00:00"),
        (pa.array([0, 1751448600000], pa.timestamp("ms", "UTC")), {}, "2025-07-02T09:30:00+00:00"),
        (
            pa.array([0, 1751448600000], pa.timestamp("ms", "UTC")),
            {"timestamp_format": "%d.%m.%Y"},
            "2025-07-02T09:30:00+00:00",
        ),
        (pa.array([20250101, 20250702]), {"timestamp_format": "%Y%m%d"}, "2025-07-02T00:00:00+00:00"),
        (
            pa.array([Decimal(20250101), Decimal(20250702)], pa.decimal128(8, 0)),
            {"timestamp_format": "%Y%m%d"},
            "2025-07-02T00:00:00+00:00",
        ),
        (
            pa.array(["01.02.2025", "02.07.2025"]).dictionary_encode(),
            {"timestamp_format": "%d.%m.%Y"},
            "2025-07-02T00:00:00+00:00",
        ),
        (pa.array([b"2025-01-01", b"2025-07-02"]), {}, "2025-07-02T00:00:00+00:00"),
    ],
)
def test_parquet_times_of_each_type_are_instants_or_local(times: pa.Array, keys: dict, expected: str) -> None:
    assert _transactions(IDS, times, AMOUNTS, **keys)[-1][1] == expected


def test_parquet_int96_beyond_nanoseconds_is_not_wrapped_and_its_zone_is_noted() -> None:
    times = pa.array(["2025-07-02 09:30:00", "9999-12-31 00:00:00"]).cast(pa.timestamp("us"))
    buffer = io.BytesIO()
    table = pa.table({"id": IDS, "when": times, "amount": AMOUNTS})
    pq.write_table(table, buffer, use_deprecated_int96_timestamps=True)
    rules = _mapping(time_zone="Europe/Paris")
    file = read_parquet("x.parquet", buffer.getvalue(), rules)
    assert file.rows["when"].to_pylist() == ["2025-07-02 09:30:00", "9999-12-31 00:00:00"]
    assert "INT96, which has no time zone: it was read as local time in Europe/Paris" in file.notes[0]
    result = validate_source(typed_source(file), rules, NOW)
    assert result.rows["event_timestamp"].dt.strftime("%F %H:%M").tolist() == ["2025-07-02 07:30"]
    assert not read_parquet("x.parquet", buffer.getvalue(), _mapping()).notes


def test_parquet_int96_with_a_zone_of_arrow_is_an_instant_without_a_note() -> None:
    times = pa.array(["2025-07-02 09:30:00Z", "2025-07-03 09:30:00Z"]).cast(pa.timestamp("us", "UTC"))
    buffer = io.BytesIO()
    table = pa.table({"id": IDS, "when": times, "amount": AMOUNTS})
    pq.write_table(table, buffer, use_deprecated_int96_timestamps=True)
    file = read_parquet("x.parquet", buffer.getvalue(), _mapping(time_zone="Europe/Paris"))
    assert not file.notes
    result = validate_source(typed_source(file), _mapping(time_zone="Europe/Paris"), NOW)
    assert result.rows["event_timestamp"].dt.hour.tolist() == [9, 9]


NESTED = [
    pa.array([["a"], ["b"]]),
    pa.array([{"v": 1}, {"v": 2}]),
    pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
    pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2)),
]


@pytest.mark.parametrize(
    "values",
    [
        *NESTED,
        pa.array([timedelta(1), timedelta(2)]),
        pa.array([0, 1], pa.time32("s")),
        pa.array([b"\xff\xfe", b"\xff"]),
        pa.array([b"\xff" * 8, b"\x80" * 8], pa.binary(8)),
    ],
    ids=lambda value: str(value.type),
)
@pytest.mark.parametrize("field", ["id", "when", "amount"])
def test_mapped_column_without_one_reading_is_refused_by_name_and_type(values: pa.Array, field: str) -> None:
    table = pa.table({"id": IDS, "when": TIMES, "amount": AMOUNTS})
    table = table.set_column(table.column_names.index(field), field, values)
    with pytest.raises(IngestError, match=rf"x\.parquet: column '{field}' has the type .*Map another column"):
        convert_table("x.parquet", table, _mapping())


@pytest.mark.parametrize("values", [*NESTED, pa.array([b"\xff", b"\x80"])], ids=lambda value: str(value.type))
def test_unmapped_column_of_any_type_is_stored_with_quarantined_rows(values: pa.Array) -> None:
    table = pa.table({"id": pa.array(["", "b"]), "when": TIMES, "amount": AMOUNTS, "extra": values})
    rules = _mapping()
    result = validate_source(typed_source(convert_table("x.parquet", table, rules)), rules, NOW)
    assert len(result.rows) == len(result.quarantine) == 1
    assert '"extra": ' in result.quarantine["raw"][0]


def test_repeated_unmapped_name_is_read_and_zero_rows_give_zero_rows() -> None:
    buffer = io.BytesIO()
    columns = [IDS, TIMES, AMOUNTS, pa.array([1, 2]), pa.array(["l", "r"])]
    pq.write_table(pa.table(columns, names=["id", "when", "amount", "x", "x"]).slice(0, 0), buffer)
    file = read_parquet("x.parquet", buffer.getvalue(), _mapping())
    assert (file.rows.num_rows, file.rows.column_names) == (0, ["id", "when", "amount", "x", "x"])


def test_encrypted_or_cut_parquet_is_refused_in_plain_words() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": IDS, "when": TIMES, "amount": AMOUNTS}), buffer)
    content = buffer.getvalue()
    with pytest.raises(IngestError, match="encrypted"):
        read_parquet("x.parquet", b"PARE" + content[4:-4] + b"PARE", _mapping())
    for end in range(4, len(content), 97):
        with pytest.raises(IngestError, match=r"x\.parquet is not a readable Parquet file.*again"):
            read_parquet("x.parquet", content[:end], _mapping())


def test_text_that_is_not_utf8_in_a_mapped_column_is_refused() -> None:
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff"))
    table = pa.table({"id": broken, "when": TIMES, "amount": AMOUNTS})
    with pytest.raises(IngestError, match="'id' holds text that is not UTF-8"):
        convert_table("x.parquet", table, _mapping())


def test_arrow_and_orc_give_the_rows_of_parquet() -> None:
    table = pa.table({"id": IDS, "when": TIMES, "amount": AMOUNTS})
    arrow, orc = io.BytesIO(), io.BytesIO()
    pyarrow.feather.write_feather(table, arrow)
    pyarrow.orc.write_table(table, orc)
    files: list[SourceFile] = [
        read_arrow("x.feather", arrow.getvalue(), _mapping()),
        read_orc("x.orc", orc.getvalue(), _mapping()),
    ]
    for file in files:
        result = validate_source(typed_source(file), _mapping(), NOW)
        assert result.rows["amount"].tolist() == [5.5, 12.25]
