"""One table in many formats, types and compressions: what is read is the table."""

import io
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.compression import decompress
from holdfast.ingestion.reading.reader import read_file
from holdfast.ingestion.validation import validate_source
from tests.support.compressions import COMPRESSIONS
from tests.support.typed_sources import typed_source
from tests.support.workbooks import write_xlsx

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
ZONES = ["UTC", "Europe/London", "America/New_York", "Asia/Kolkata"]

number = st.integers(1, 2**40)
text_id = st.text(st.sampled_from("abcXYZ019-\u00eb"), min_size=1, max_size=6).filter(lambda text: not text.isdigit())
second = st.integers(0, 365 * 24 * 3600).map(lambda seconds: datetime(2024, 7, 1) + timedelta(seconds=seconds))  # noqa: DTZ001
cents = st.integers(1, 10**7).map(lambda value: Decimal(value) / 100)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[Any], list[datetime], list[Decimal]]:
    """Draw a kind of id, ids, local times and amounts."""
    kind = draw(st.sampled_from(["integer", "text", "uuid"]))
    ids = {"integer": number, "text": text_id, "uuid": st.uuids()}[kind]
    rows = draw(st.lists(st.tuples(ids, second, cents), min_size=1, max_size=5))
    return kind, *map(list, zip(*rows, strict=True))  # type: ignore[return-value]


def _ids(kind: str, values: list[Any], draw: st.DrawFn) -> pa.Array:
    if kind == "integer":
        types = [pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(20, 0), pa.decimal128(20, 2), pa.string()]
        chosen = draw(st.sampled_from(types))
        if pa.types.is_decimal(chosen):
            return pa.array(list(map(Decimal, values)), chosen)
        array = pa.array(list(map(str, values)) if pa.types.is_string(chosen) else values)
        return array.cast(chosen)
    if kind == "uuid":
        forms: list[Callable[[uuid.UUID], Any]] = [lambda value: value.bytes, str]
        form = draw(st.sampled_from(forms))
        array = pa.array([form(value) for value in values])
        return array.cast(pa.binary(16)) if form is forms[0] and draw(st.booleans()) else array
    array = pa.array(values)
    return array.cast(draw(st.sampled_from([pa.string(), pa.large_string(), pa.binary(), pa.string_view()])))


def _times(values: list[datetime], zone: str, draw: st.DrawFn) -> pa.Array:
    local = pa.array(values, pa.timestamp("us"))
    form = draw(st.sampled_from(["naive", "zone", "text"]))
    if form == "text":
        return pa.array([value.isoformat(" ") for value in values])
    if form == "zone":
        instants = pd.Series(values).dt.tz_localize(zone, ambiguous=[True] * len(values), nonexistent="shift_forward")
        stored = instants.dt.tz_convert(draw(st.sampled_from(ZONES))).dt.as_unit(draw(st.sampled_from(["ms", "ns"])))
        return pa.Array.from_pandas(stored)
    return local.cast(pa.timestamp(draw(st.sampled_from(["s", "ms", "us", "ns"]))))


def _write(table: pa.Table, draw: st.DrawFn) -> bytes:
    buffer = io.BytesIO()
    form = draw(st.sampled_from(["parquet", "int96", "feather", "orc", "xlsx", "csv"]))
    # Some formats have fewer types: those of pandas.
    if form in ("xlsx", "csv", "orc") and any(not _is_plain(column.type) for column in table.columns):
        form = "parquet"
    if form == "int96" and any(pa.types.is_timestamp(column.type) and column.type.tz for column in table.columns):
        form = "parquet"  # INT96 would lose the zone
    if form in ("parquet", "int96"):
        pq.write_table(table, buffer, use_deprecated_int96_timestamps=form == "int96")
    elif form == "feather":
        pyarrow.feather.write_feather(table, buffer, compression=draw(st.sampled_from(["zstd", "uncompressed"])))
    elif form == "orc":
        pyarrow.orc.write_table(table, buffer)
    elif form == "xlsx":
        rows = [[_as_cell(value) for value in row.values()] for row in table.to_pylist()]
        return write_xlsx({"Sheet1": [table.column_names, *rows]})
    else:
        table.to_pandas().to_csv(buffer, index=False, encoding=draw(st.sampled_from(["utf-8", "utf-16"])))
    return buffer.getvalue()


def _is_plain(kind: pa.DataType) -> bool:
    is_local = pa.types.is_timestamp(kind) and kind.tz is None and kind.unit in ("us", "ns")
    return is_local or pa.types.is_string(kind) or pa.types.is_int64(kind) or pa.types.is_float64(kind)


def _as_cell(value: Any) -> Any:
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


@given(tables(), st.sampled_from(ZONES), st.data())
@settings(max_examples=60, deadline=None)
def test_table_in_any_dress_is_the_table(table: Any, zone: str, data: st.DataObject) -> None:
    kind, ids, times, amounts = table
    of_amount = data.draw(st.sampled_from([pa.float64(), pa.decimal128(12, 2), pa.string()]))
    written = pa.array(list(map(str, amounts)) if pa.types.is_string(of_amount) else amounts)
    columns = {
        "id": _ids(kind, ids, data.draw),
        "when": _times(times, zone, data.draw),
        "amount": written.cast(of_amount),
    }
    columns["note"] = pa.array([["x"]] * len(ids) if data.draw(st.booleans()) else ["x"] * len(ids))
    content = _write(pa.table(columns), data.draw)
    _, pack = data.draw(st.sampled_from(list(COMPRESSIONS.values())))
    rules = ColumnMapping.model_validate({"columns": COLUMNS, "time_zone": zone, "max_bad_share": 1})
    found = validate_source(typed_source(read_file("table", decompress("table", pack(content)), rules)), rules, NOW)
    assert found.quarantine.empty
    assert found.rows["customer_id"].tolist() == list(map(str, ids))
    assert found.rows["amount"].tolist() == list(map(float, amounts))
    expected = pd.Series(times).dt.tz_localize(zone, ambiguous=[True] * len(times), nonexistent="shift_forward")
    assert found.rows["event_timestamp"].tolist() == expected.dt.tz_convert("UTC").tolist()
