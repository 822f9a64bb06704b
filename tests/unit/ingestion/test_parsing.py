"""Parsing and validation of rows."""

from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import Source, SourceFile
from holdfast.ingestion.validation import validate_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _one(checked: Callable, when: str, **mapping: object) -> str | list[str]:
    """Return the parsed timestamp in UTC, or the reasons."""
    result = checked(f'id,when,amount\n1,"{when}",5\n1,2025-01-01,5\n1,01.01.2025,5\n', **mapping)
    bad = result.quarantine[result.quarantine["row_number"] == 1]
    return bad["reasons"].iloc[0] if len(bad) else result.rows["event_timestamp"][0].isoformat()


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2025-07-01", "2025-06-30T22:00:00+00:00"),
        ("2025-07-01 12:30", "2025-07-01T10:30:00+00:00"),
        (" 2025-07-01T12:30:15.123456 ", "2025-07-01T10:30:15.123456+00:00"),
        ("20250701T123015", "2025-07-01T10:30:15+00:00"),
        ("2025-07-01T12:30:00Z", "2025-07-01T12:30:00+00:00"),
        ("2025-07-01 12:30:00-05:00", "2025-07-01T17:30:00+00:00"),
        ("2025-07-01T12:30:00+0530", "2025-07-01T07:00:00+00:00"),
        ("2025-10-26 02:30", "2025-10-26T00:30:00+00:00"),  # occurs twice: the first
        ("2025-03-30 02:30", "2025-03-30T01:00:00+00:00"),  # skipped: the time of the change
    ],
)
def test_parse_iso_timestamp_in_time_zone(checked: Callable, when: str, expected: str) -> None:
    assert _one(checked, when, time_zone="Europe/Paris") == expected


@pytest.mark.parametrize(
    "when",
    [
        "now",
        "today",
        "2025",
        "2025-07",
        "1735689600",
        "2025-02-30",
        "25:00",
        "2025-01-01 25:00",
        "9999-12-31",
        "1/2/2025",
    ],
)
def test_parse_invalid_timestamp_is_quarantined(checked: Callable, when: str) -> None:
    assert _one(checked, when) == ["event_timestamp is not a timestamp"]


@pytest.mark.parametrize(
    ("pattern", "when", "expected"),
    [
        ("%d.%m.%Y", "02.01.2025", "2025-01-02T00:00:00+00:00"),
        ("%d.%m.%Y", "2025-01-02", ["event_timestamp is not a timestamp"]),
        ("%d.%m.%Y", "", ["event_timestamp is missing"]),
        ("%m.%d.%Y %I:%M %p", "02.01.2025 01:05 PM", "2025-02-01T18:05:00+00:00"),
        ("%d.%m.%Y %H:%M %z", "02.01.2025 10:00 +0200", "2025-01-02T08:00:00+00:00"),
    ],
)
def test_parse_timestamp_with_format(checked: Callable, pattern: str, when: str, expected: object) -> None:
    text = f"id,when,amount\n1,{when},5\n"
    text += f"1,{pd.Timestamp('2025-01-01', tz='UTC').strftime(pattern)},5\n"
    result = checked(text, timestamp_format=pattern, time_zone="America/New_York" if "%p" in pattern else "UTC")
    bad = result.quarantine
    assert (bad["reasons"][0] if len(bad) else result.rows["event_timestamp"][0].isoformat()) == expected


def test_event_more_than_a_day_after_ingestion_is_quarantined(checked: Callable) -> None:
    text = "id,when,amount\n1,2026-01-02T00:00:00,5\n2,2026-01-02T00:00:00.000001,5\n"
    result = checked(text, ingested_at=NOW)
    assert result.rows["customer_id"].tolist() == ["1"]
    assert result.reasons == {"event_timestamp is more than a day after ingestion": 1}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (" 42 ", "42"),
        ("13085.0", "13085"),
        ("00042", "00042"),
        ("00042.0", "00042"),
        ("1.5", "1.5"),
        ("A-1.0", "A-1.0"),
    ],
)
def test_parse_customer_id(checked: Callable, written: str, expected: str) -> None:
    assert checked(f"id,when,amount\n{written},2025-01-01,5\n").rows["customer_id"].tolist() == [expected]


@pytest.mark.parametrize("written", ["", "  ", "nan", "NaN", "NULL", "None", "<NA>", "n/a"])
def test_missing_customer_id_is_quarantined(checked: Callable, written: str) -> None:
    result = checked(f"id,when,amount\n{written},2025-01-01,5\n1,2025-01-01,5\n")
    assert result.reasons == {"customer_id is missing": 1}


def test_too_long_customer_id_is_quarantined(checked: Callable) -> None:
    result = checked(f"id,when,amount\n{'9' * 129},2025-01-01,5\n{'9' * 128},2025-01-01,5\n")
    assert result.reasons == {"customer_id is empty or longer than 128 characters": 1}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5", 5.0), ("+5.25", 5.25), (".5", 0.5), ("1e3", 1000.0), ("-3", -3.0), ("0.30000000000000004", 0.3),
        ("", "amount is missing"), ("nan", "amount is missing"), ("five", "amount is not a number"),
        ("1_000", "amount is not a number"), ("0x10", "amount is not a number"),
        ("1,5", "amount is written with a decimal comma, unlike the column"), ("٣", 3.0),
        ("inf", "amount is not finite"), ("-Infinity", "amount is not finite"),
        ("1e999", "amount is not finite"), ("0", "amount is 0: neither a purchase nor a return"),
        ("-0.0", "amount is 0: neither a purchase nor a return"),
        ("0.0000001", "amount is 0: neither a purchase nor a return"),
        ("1e12", 1e12), ("-1e12", -1e12), ("1e33", "amount is beyond a trillion"),
        ("-1.1e12", "amount is beyond a trillion"),
    ],
)  # fmt: skip
def test_parse_amount(checked: Callable, written: str, expected: float | str) -> None:
    result = checked(f'id,when,amount\n1,2025-01-01,"{written}"\n1,2025-01-01,5.0\n')
    found = result.quarantine["reasons"].tolist() or result.rows["amount"][0]
    assert found == ([[expected]] if isinstance(expected, str) else expected)


def test_parse_amount_with_decimal_comma(checked: Callable) -> None:
    text = 'id;when;amount\n1;2025-01-01;1.234,56\n1;2025-01-01;"7,5"\n1;2025-01-01;-3\n'
    assert checked(text, delimiter=";", decimal=",").rows["amount"].tolist() == [1234.56, 7.5, -3.0]


def test_typed_columns_ignore_text_formats() -> None:
    columns = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
    rules = ColumnMapping.model_validate({"columns": columns, "decimal": ",", "timestamp_format": "%d.%m.%Y"})
    rows = pa.table({"id": ["1"], "when": ["2025-01-02 00:00:00"], "amount": ["2.5"]})
    part = SourceFile(
        "x.parquet",
        rows,
        row_numbers=pd.Series([1]).to_numpy(),
        types={"when": pa.timestamp("us"), "amount": pa.float64()},
    )
    found = validate_source(Source("x.parquet", "0", [part]), rules, NOW).rows
    assert found["amount"].tolist() == [2.5]
    assert found["event_timestamp"].tolist() == [pd.Timestamp("2025-01-02", tz="UTC")]


def test_missing_quantity_column_gives_one_unit_with_the_sign_of_the_amount(checked: Callable) -> None:
    found = checked("id,when,amount\n1,2025-01-01,5\n1,2025-01-01,-5\n").rows
    assert found["quantity"].tolist() == [1.0, -1.0]


def test_cancellation_makes_amount_and_quantity_negative(checked: Callable) -> None:
    columns = {"customer_id": "id", "event_timestamp": "when", "quantity": "n", "unit_price": "price"}
    text = "id,when,n,price,kind\n" + "".join(
        f"{number},2025-01-01,{row}\n"
        for number, row in enumerate(
            ["2,1.15,", "-2,1.15,", "2,1.15,RET", "-2,1.15,RET", "2,-1.15,", "0,1.15,", "x,y,"], 1
        )
    )
    result = checked(text, columns=columns, cancellation={"column": "kind", "starts_with": "R"})
    assert result.rows[["customer_id", "amount", "quantity"]].values.tolist() == [
        ["1", 2.3, 2.0],
        ["2", -2.3, -2.0],
        ["3", -2.3, -2.0],
        ["4", -2.3, -2.0],
    ]
    zero = ["amount is 0: neither a purchase nor a return", "quantity is 0: neither a purchase nor a return"]
    assert result.quarantine["reasons"].tolist() == [
        ["amount and quantity have opposite signs"],
        zero,
        ["quantity is not a number", "unit_price is not a number"],
    ]


def test_row_with_several_issues_reports_all_reasons(checked: Callable) -> None:
    result = checked("id,when,amount\n,yesterday,inf\n,2027-01-01,0\n1,2025-01-01,5\n")
    assert result.quarantine["reasons"].tolist() == [
        ["customer_id is missing", "event_timestamp is not a timestamp", "amount is not finite"],
        [
            "customer_id is missing",
            "amount is 0: neither a purchase nor a return",
            "event_timestamp is more than a day after ingestion",
        ],
    ]


def test_exact_duplicates_are_quarantined_if_configured(checked: Callable) -> None:
    text = "id,when,amount,line\n" + "1,2025-01-01,5,a\n" * 3 + "1,2025-01-01,5,b\n"
    assert len(checked(text).rows) == 4
    result = checked(text, exact_duplicates="quarantine", max_bad_share=0)
    assert len(result.rows) == 2  # they do not count as bad rows: max_bad_share allows them
    assert result.reasons == {"exact duplicate of an earlier row": 2}
    assert result.quarantine["row_number"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("written", "good"), [("1970-01-01", True), ("1969-12-31T23:59:59", False), ("1900-01-01", False)]
)
def test_event_before_1970_is_quarantined(checked: Callable, written: str, good: bool) -> None:
    result = checked(f"id,when,amount\n1,{written},5\n1,2025-01-01,5\n")
    assert result.reasons == ({} if good else {"event_timestamp is before 1970": 1})
