"""Files that are cut: the table in the end is that of the whole file alone."""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.compression import decompress
from holdfast.ingestion.reading.csv_reader import read_csv
from holdfast.ingestion.validation import ValidationResult, validate_source
from tests.support.typed_sources import typed_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}


def _validate(content: bytes, name: str = "x.csv", **keys: Any) -> ValidationResult:
    rules = ColumnMapping.model_validate({"columns": COLUMNS, "max_bad_share": 1, **keys})
    source = typed_source(read_csv(name, decompress(name, content).content, rules))
    return validate_source(source, rules, NOW)


def _rows(content: bytes, name: str, **keys: Any) -> tuple[Counter, Counter]:
    """Return the texts that decide about the transactions: of the rows that are not set aside, and of all rows."""
    rules = ColumnMapping.model_validate({"columns": COLUMNS, **keys})
    file = read_csv(name, decompress(name, content).content, rules)
    table = file.rows if rules.exact_duplicates == "quarantine" else file.rows.select(rules.required_columns)
    aside = np.logical_or.reduce([np.zeros(table.num_rows, dtype=bool), *(issue.rows for issue in file.issues)])
    usable = table.filter(pa.array(~aside))
    return Counter(map(str, usable.to_pylist())), Counter(map(str, table.to_pylist()))


def _require_no_other_row_at_any_cut(content: bytes, pack: Callable[[bytes], bytes] = bytes, **keys: Any) -> int:
    """Cut a file at every byte; a row that is used must be a row of the whole file. Return the refused cuts."""
    packed = pack(content)
    name = "x.csv.gz" if pack is gzip.compress else "x.csv"
    _, whole = _rows(packed, name, **keys)
    refused = 0
    for end in range(1, len(packed)):
        try:
            found, _ = _rows(packed[:end], name, **keys)
        except IngestError:
            refused += 1
            continue
        assert found <= whole, packed[:end]
    return refused


TEXTS = {
    "amount last": "id,when,amount\n1,2025-01-01,5\n2,2025-01-02,12.75\nZo\u00eb,2025-01-03,123\n",
    "id last": "amount,when,id\n5,2025-01-01,1\n12.75,2025-01-02,1234\n",
    "time last": "id,amount,when\n1,5,2025-01-01\n2,6,2025-01-02 10:30:15\n",
    "offset last": "id,amount,when\n1,5,2025-01-01T10:00:00+01:00\n2,6,2025-01-02 10:30:15.25+05:30\n",
    "note last": 'id,when,amount,note\n1,2025-01-01,5,a\n2,2025-01-02,12.75,"b, ""c"""\n3,2025-01-03,123,"d\ne"\n',
    "all quoted": '"id","when","amount"\n"1","2025-01-01","5"\n"2","2025-01-02","12.75"\n',
    "quoted id last": '"amount","when","id"\n"5","2025-01-01","1"\n"6","2025-01-02","2""3"\n',
    "carriage returns": "id,when,amount\r\n1,2025-01-01,5\r\n2,2025-01-02,1275\r\n",
    "old line ends": "id,when,amount\r1,2025-01-01,5\r2,2025-01-02,1275\r",
    "no line end": "id,when,amount\n1,2025-01-01,5\n2,2025-01-02,1275",
    "totals": "id,when,amount\n1,2025-01-01,5\n2,2025-01-02,1275\nTotal,2025-01-02,1280\n",
    "separator line": "sep=;\nid;when;amount\n1;2025-01-01;5\n2;2025-01-02;1275\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_cut_at_any_byte_stores_no_other_row(text: str) -> None:
    assert _require_no_other_row_at_any_cut(text.encode()) > 10
    _require_no_other_row_at_any_cut(text.encode(), exact_duplicates="quarantine")


def test_cut_of_gzip_and_utf16_at_any_byte_stores_no_other_row() -> None:
    content = TEXTS["amount last"].encode()
    packed = len(gzip.compress(content))
    assert _require_no_other_row_at_any_cut(content, gzip.compress) == packed - 1
    assert _require_no_other_row_at_any_cut(TEXTS["amount last"].encode("utf-16")) > 100
    blanks = TEXTS["amount last"].replace(",", "  ").encode()
    _require_no_other_row_at_any_cut(blanks, delimiter="whitespace")


cell = st.text(st.sampled_from('a1,"\n;\u00eb 0'), max_size=4)
number = st.sampled_from(["5", "12", "123", "-7", "1.5", "1.55", "12.05"])
time = st.sampled_from(["2025-01-01", "2025-01-02 10:00", "2025-01-02 10:00:30", "2025-01-02T10:00:30.5Z"])


@given(
    st.lists(st.tuples(cell, time, number, cell), min_size=1, max_size=4),
    st.permutations(range(4)),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(max_examples=15, deadline=None)
def test_cut_of_any_table_stores_no_other_row(rows: list, order: list[int], end: str, quoting: Any) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    for row in [("id", "when", "amount", "note"), *rows]:
        writer.writerow([row[position] for position in order])
    _require_no_other_row_at_any_cut(text.getvalue().encode())


def test_last_row_without_a_line_end_is_set_aside_only_where_it_may_be_cut() -> None:
    result = _validate(b"id,when,amount\n1,2025-01-01,5\n2,2025-01-02,12")
    assert result.rows["customer_id"].tolist() == ["1"]
    assert list(result.quarantine["reasons"][0]) == [
        "the last line has no line end, so 'amount' may be cut: add the line end, or set `unterminated_row: keep`"
    ]
    stored = _validate(b"id,when,amount\n1,2025-01-01,5\n2,2025-01-02,12", unterminated_row="keep")
    assert stored.rows["amount"].tolist() == [5, 12]
    for whole in (
        b"id,when,amount,note\n1,2025-01-01,5,a\n2,2025-01-02,12,b",  # the last column is not mapped
        b'id,when,amount\n1,2025-01-01,5\n2,2025-01-02,"12"',
        b"id,when,amount\n1,2025-01-01,5\n2,2025-01-02,12\n   ",
    ):
        assert _validate(whole).rows["amount"].tolist() == [5, 12]


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("2,2025-0", r"ends within row 2: its last line, '2,2025-0', has 2 of 4 fields.*cut or is still being written"),
        ("2", r"ends within row 2"),
        ('2,2025-01-01,5,"no', r"ends within a quoted value of row 2"),
        ('2,2025-01-01,5,"', r"ends within a quoted value of row 2"),
        ('2,2025-01-01,5,"a""', r"ends within a quoted value of row 2"),
    ],
)
def test_file_that_ends_within_a_row_is_refused(last: str, message: str) -> None:
    with pytest.raises(IngestError, match=message):
        _validate(f"id,when,amount,note\n1,2025-01-01,5,x\n{last}".encode())


@pytest.mark.parametrize("footer", ["(2 rows affected)", "Total", "Summe: 10", "2 records"])
def test_footer_without_a_line_end_is_set_aside(footer: str) -> None:
    result = _validate(f"id,when,amount\n1,2025-01-01,5\n2,2025-01-02,5\n{footer}".encode())
    assert (len(result.rows), result.quarantine["raw"].tolist()) == (2, [f'"{footer}"'])


@pytest.mark.parametrize(
    ("columns", "values", "last", "is_whole"),
    [
        ("id,when,amount", "a,2025-01-01,{:.2f}", "a,2025-01-02,7.50", True),
        ("id,when,amount", "a,2025-01-01,{:.2f}", "a,2025-01-02,7.5", False),
        ("id,when,amount", "a,2025-01-01,{:.0f}", "a,2025-01-02,7", False),
        ("id,when,amount", "a,2025-01-01,{}", "a,2025-01-02,7.25", False),  # 0.5 and 1.0, and a longer fraction
        ("id,amount,when", "a,{},2025-01-01 10:00", "a,7,2025-01-02 10:00", True),
        ("id,amount,when", "a,{},2025-01-01 10:00", "a,7,2025-01-02 10:0", False),
        ("amount,when,id", "{},2025-01-01,a", "7,2025-01-02,a", False),
    ],
)
@pytest.mark.parametrize("rows", [100, 99])
def test_last_row_is_whole_if_its_value_has_the_form_of_a_hundred_others(
    columns: str, values: str, last: str, is_whole: bool, rows: int
) -> None:
    lines = [columns, *(values.format(row / 2 + 1) for row in range(rows)), last]
    result = _validate("\n".join(lines).encode())
    assert len(result.quarantine) == (0 if is_whole and rows == 100 else 1)


def test_file_of_one_row_without_a_line_end_is_set_aside_and_not_refused() -> None:
    result = _validate(b"id,when,amount\na,2025-01-01,7", max_bad_share=0.5)
    assert (len(result.rows), len(result.quarantine)) == (0, 1)
