"""Customer ids: restored where that is exact, else refused or in quarantine, never merged."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IngestError
from holdfast.ingestion.parsing.columns import ParsedColumn
from holdfast.ingestion.parsing.customer_id_checks import check_customer_ids
from holdfast.ingestion.parsing.customer_ids import parse_customer_ids
from holdfast.ingestion.reading.typed_table import convert_table
from tests.support.text_columns import build_column, build_mapping

GOOD = [f"C{number}" for number in range(40)]


def _parse(values: list[str | None], kind: pa.DataType | None = None, **mapping: Any) -> ParsedColumn:
    return parse_customer_ids(build_column(values, kind), "customer_id", build_mapping(**mapping))


def _check(ids: list[str | None]) -> list[str]:
    return check_customer_ids(pd.Series(ids), build_column(ids).files, build_mapping()).notes


def _parse_typed(values: list[Any], kind: pa.DataType) -> ParsedColumn:
    """Parse a column as a Parquet file of that type gives it."""
    names = build_mapping().required_columns
    table = pa.table(
        {name: pa.array(values, kind) if name == "id" else pa.array(["5"] * len(values)) for name in names}
    )
    text = convert_table("values.parquet", table, build_mapping()).rows.column("id")
    return _parse(text.to_pylist(), kind)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('="00042"', "00042"), ("'00042", "00042"), ('="A 7"', "A 7"), ("'tHooft", "'tHooft"), ("1.3085E+04", "13085"),
        ("1,3085E+04", "13085"), ("1.30850e+04", "13085"), ("-1.5E+01", "-15"), ("1E5", "1E5"), ("12E4", "12E4"),
        ("13085.0", "13085"), ("-1.00", "-1"), ("00042.0", "00042"), ("9007199254740993", "9007199254740993"),
        ("42.", "42"), ("42,0", "42"), ("’0042", "0042"),
        ("9007199254740991.0", "9007199254740991"), ("1.23456789012345E+14", "123456789012345"),
    ],
)  # fmt: skip
def test_id_is_restored_where_all_digits_are_there(written: str, expected: str) -> None:
    assert _parse([*GOOD, written]).values.tolist() == [*GOOD, expected]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("1.23457E+11", "customer_id is a number whose last digits were rounded away"),
        ("1,23457E+11", "customer_id is a number whose last digits were rounded away"),
        ("1E+06", "customer_id is a number whose last digits were rounded away"),
        ("1.5E-05", "customer_id is a number whose last digits were rounded away"),
        ("1.30855E+04", "customer_id is a number whose last digits were rounded away"),
        ("1.2345678901234568e+16", "customer_id is a number whose last digits were rounded away"),
        ("9007199254740992.0", "customer_id is a number whose last digits were rounded away"),
        ("3-Jan", "customer_id is a date that a spreadsheet made"),
        ("Mar-05", "customer_id is a date that a spreadsheet made"),
        ("#REF!", "customer_id is an error value of a spreadsheet"),
        ("#N/A", "customer_id is an error value of a spreadsheet"),
        ("########", "customer_id is an error value of a spreadsheet"),
    ],
)
def test_few_damaged_ids_are_quarantined_and_many_refused(written: str, reason: str) -> None:
    found = _parse([*GOOD, written])
    assert found.values.isna().tolist() == [False] * 40 + [True]
    assert [(issue.reason, issue.rows.sum()) for issue in found.issues] == [(reason, 1)]
    if "error value" not in reason:
        with pytest.raises(IngestError, match=r"3 of 43 are .*values\.csv, row 41.*columns\.customer_id"):
            _parse([*GOOD, *[written] * 3])


@pytest.mark.parametrize("mark", [",", "'", " ", "\u00a0", "\u202f"])
def test_separators_of_thousands_in_ids_are_removed_where_all_group(mark: str) -> None:
    found = _parse([f"13{mark}085", f"1{mark}234{mark}567", "42"])
    assert found.values.tolist() == ["13085", "1234567", "42"]
    assert "13085" in found.notes[0]
    assert _parse([f"13{mark}085", f"1{mark}2"]).values.tolist() == [f"13{mark}085", f"1{mark}2"]


def test_long_ids_that_all_end_in_zero_are_named() -> None:
    ids = [f"12345678901234{digit}0" for digit in range(5)]
    assert "stores 15 digits" in _parse(ids).notes[0]
    assert not _parse([*ids, "1234567890123456"]).notes
    assert _parse(["1234567890123450000", "1234567890123460000"]).notes
    assert not _parse(["1234567890123450", "1234567890123460"]).notes


def test_ids_with_fractions_keep_their_zeros() -> None:
    assert _parse(["4711.0", "4711.1", "4711.2"]).values.tolist() == ["4711.0", "4711.1", "4711.2"]


@pytest.mark.parametrize(
    ("kind", "good", "beyond"),
    [
        (pa.float64(), [13085.0, 42.0, -1.0, 2.0**53 - 1], 2.0**53),
        (pa.float32(), [13085.0, 42.0, -1.0, 2.0**24 - 1], 2.0**24),
        (pa.float16(), [1024.0, 42.0, -1.0, 2047.0], 2048.0),
    ],
)
def test_float_column_is_restored_below_its_exact_integers(kind: pa.DataType, good: list[float], beyond: float) -> None:
    values = np.array(good * 10).astype(kind.to_pandas_dtype())
    assert _parse_typed([*values, None], kind).values.tolist() == [*[str(int(value)) for value in good] * 10, pd.NA]
    damaged = np.array([beyond], dtype=kind.to_pandas_dtype())
    found = _parse_typed([*values, *damaged], kind)
    assert found.values.isna().sum() == 1
    assert found.issues[0].reason.endswith("rounds")
    with pytest.raises(IngestError, match="make one id of several customers"):
        _parse_typed([*values, *damaged, *damaged, *damaged], kind)


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float64(), pa.decimal128(12, 2), pa.string()])
def test_ids_are_the_same_in_each_type(kind: pa.DataType) -> None:
    values = [13085, 42, 0]
    typed = [str(value) for value in values] if kind == pa.string() else values
    assert _parse_typed(typed, kind).values.tolist() == ["13085", "42", "0"]


@given(st.lists(st.integers(0, 10**17), min_size=1, max_size=8), st.sampled_from(["float", "excel", "repr", "{:.5E}"]))
@settings(max_examples=200, deadline=None)
def test_number_written_as_a_float_is_the_number_or_no_id(numbers: list[int], form: str) -> None:
    writers: dict[str, Callable[[int], str]] = {
        "float": lambda number: f"{float(number):.1f}",
        "repr": lambda number: repr(float(number)),
        "excel": lambda number: f"{number:.15g}" if number < 10**11 else f"{number:.5E}",
    }
    write = writers.get(form, form.format)
    found = _parse([*[f"C{n}" for n in range(200)], *[write(number) for number in numbers]]).values[200:]
    for number, value in zip(numbers, found, strict=True):
        assert value is pd.NA or value == str(number)


@pytest.mark.parametrize(
    ("form", "values", "expected"),
    [
        ({"case": "lower"}, ["Ab", "aB"], ["ab", "ab"]),
        ({"case": "upper"}, ["Ab", "aB"], ["AB", "AB"]),
        ({"unicode": "NFC"}, ["e\u0301", "é"], ["é", "é"]),
        ({"unicode": "NFKC"}, ["１２"], ["12"]),
        ({"spaces": "collapse"}, ["a  b", "a\u00a0b"], ["a b", "a b"]),
        ({"spaces": "remove"}, ["a b", "ab"], ["ab", "ab"]),
        ({"invisible": "remove"}, ["a\u200bb", "\ufeffab"], ["ab", "ab"]),
        ({}, ["Ab", "a  b", "e\u0301"], ["Ab", "a  b", "e\u0301"]),
    ],
)
def test_customer_id_form_writes_ids_in_one_way(form: dict, values: list[str], expected: list[str]) -> None:
    assert _parse(values, customer_id_form=form).values.tolist() == expected


@pytest.mark.parametrize(
    ("pair", "key"),
    [
        (["Ab", "ab"], "{case: lower}"),
        (["e\u0301", "é"], "{unicode: NFC}"),
        (["a b", "ab"], "{spaces: remove}"),
        (["a\u200bb", "ab"], "{invisible: remove}"),
        (["042", "42"], "zeros in front"),
    ],
)
def test_ids_that_differ_in_writing_only_are_named(pair: list[str], key: str) -> None:
    notes = _check([*pair, "z", None])
    assert len(notes) == 1
    assert key in notes[0]
    assert "2 customer ids, such as those of values.csv, row 1 and values.csv, row 2," in notes[0]
    assert not _check(["Ab", "ac", "b a"])


@pytest.mark.parametrize(
    ("name", "rows", "named"),
    [
        ("guest", 30, True), ("Unknown", 30, True), ("0", 300, True), ("-1", 300, True), ("999999", 300, True),
        ("C7", 30, False), ("0", 1, False), ("walk-in", 300, True), ("4711", 3000, True), ("4711", 20, False),
    ],
)  # fmt: skip
def test_id_with_more_rows_than_one_customer_has_is_named(name: str, rows: int, named: bool) -> None:
    notes = _check([f"P{number}" for number in range(500)] * 2 + [name] * rows)
    assert [f"ignore_customers: ['{name}']" in note for note in notes] == ([True] if named else [])


def test_customer_with_half_of_a_few_rows_is_not_named() -> None:
    assert not _check(["a", "b", "c", "a", "a", "d"])
    assert _check(["guest", "b", "c", "guest", "guest", "d"])
    assert _check(["guest@shop.com", "b", "c", "guest@shop.com", "guest@shop.com", "d"])


def test_group_of_three_zeros_in_ids_is_no_fraction() -> None:
    assert _parse(["13,000", "14,000"]).values.tolist() == ["13000", "14000"]
    assert _parse(["13.000", "14.000"], decimal=",").values.tolist() == ["13.000", "14.000"]


def test_ignored_customers_are_set_aside_without_counting_as_bad(checked: Any) -> None:
    text = "id,when,amount\n" + "Guest,2025-01-01,5\n" * 6 + "0,2025-01-01,5\n,2025-01-01,5\nA,2025-01-01,5\n"
    result = checked(text, ignore_customers=["guest", 0, ""], max_bad_share=0)
    assert result.rows["customer_id"].tolist() == ["A"]
    assert result.reasons == {"customer_id is in ignore_customers": 8, "customer_id is missing": 1}
    with pytest.raises(IngestError, match="1 of 9 rows are bad"):
        checked(text, ignore_customers=["guest", 0], max_bad_share=0)
