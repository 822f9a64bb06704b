"""Fields from several columns of a source, and from constants."""

from typing import Any

import pandas as pd
import pytest

from holdfast.core.errors import IngestError
from tests.support.source_tables import COLUMNS, list_amounts, validate_columns


def test_amount_of_several_columns_adds_and_subtracts() -> None:
    rows = {
        "id": list("abcde"),
        "price": ["10", "10", "", "", "x"],
        "shipping": ["2.50", "", "3", "", "1"],
        "discount": ["1", "n/a", "", "", ""],
    }
    result = validate_columns(
        rows, columns=COLUMNS | {"amount": {"add": ["price", "shipping"], "subtract": ["discount"]}}
    )
    assert list_amounts(result) == [("a", 11.5), ("b", 10.0), ("c", 3.0)]
    assert result.reasons == {"amount is missing": 1, "amount is not a number": 1}


def test_debit_and_credit_columns_make_purchases_and_returns() -> None:
    rows = {"id": ["a", "b"], "Credit": ["1,250.00", ""], "Debit": ["", "40.00"]}
    rows = {name: [value.replace(",", "") for value in values] for name, values in rows.items()}
    result = validate_columns(rows, columns=COLUMNS | {"amount": {"add": "Credit", "subtract": "Debit"}})
    assert list_amounts(result) == [("a", 1250.0), ("b", -40.0)]


def test_amount_of_a_product_takes_off_a_rate_and_adds_columns() -> None:
    rows = {
        "id": list("abcdefg"),
        "n": ["2", "3", "", "2", "1", "-1", "2"],
        "price": ["10", "5", "5", "10", "", "10", "10"],
        "rate": ["0.1", "", "0", "25%", "0", "0.5", "1.5"],
        "shipping": ["1", "", "2", "", "4", "", ""],
    }
    columns = COLUMNS | {
        "quantity": "n",
        "amount": {"multiply": ["n", "price"], "discount_rate": "rate", "add": ["shipping"]},
    }
    result = validate_columns(rows, columns=columns)
    assert list_amounts(result) == [("a", 19.0), ("b", 15.0), ("d", 15.0), ("f", -5.0)]
    assert result.rows["quantity"].tolist() == [2.0, 3.0, 2.0, -1.0]
    assert dict(zip(result.quarantine["row_number"], map(list, result.quarantine["reasons"]), strict=True)) == {
        3: ["amount is missing", "quantity is missing"],
        5: ["amount is missing"],
        7: ["discount_rate is not between 0 and 1"],
    }


def test_discount_rate_of_amounts_of_money_is_rejected() -> None:
    rows = {"id": ["a", "b"], "n": ["2", "3"], "price": ["10", "5"], "off": ["3", "0"]}
    columns = COLUMNS | {"amount": {"multiply": ["n", "price"], "discount_rate": "off"}}
    assert validate_columns(rows, columns=columns).reasons == {"discount_rate is not between 0 and 1": 1}
    with pytest.raises(IngestError, match=r"'off' is the `discount_rate`.*'3' \(source.csv, row 1\).*amount.subtract"):
        validate_columns(rows | {"off": ["3", "2"]}, columns=columns)


def test_first_of_several_columns_reads_the_first_value_of_each_row() -> None:
    rows = {
        "account": ["7", "", "n/a", "", "9"],
        "email": ["", "b@x.com", "c@x.com", "", "d@x.com"],
        "paid": ["", "2025-02-01", "", "2025-02-01", "yesterday"],
        "when": ["2025-01-01"] * 5,
        "amount": ["1"] * 5,
    }
    columns = COLUMNS | {
        "customer_id": {"first_of": ["account", "email"]},
        "event_timestamp": {"first_of": ["paid", "when"]},
    }
    result = validate_columns(rows, columns=columns)
    assert result.rows["customer_id"].tolist() == ["7", "b@x.com", "c@x.com"]
    assert result.rows["event_timestamp"].dt.month.tolist() == [1, 2, 1]
    assert result.quarantine["reasons"].tolist() == [["customer_id is missing"], ["event_timestamp is not a timestamp"]]


def test_subtracted_column_with_negative_values_is_rejected() -> None:
    rows = {"id": ["a", "b"], "total": ["10", "10"], "discount": ["-1", "0"]}
    with pytest.raises(IngestError, match=r"'discount'.*below zero: '-1' \(source.csv, row 1\).*amount.add"):
        validate_columns(rows, columns=COLUMNS | {"amount": {"add": "total", "subtract": "discount"}})


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        (["day", "time"], ("2025-01-02", "10:30"), "2025-01-02 10:30"),
        (["day", "time"], ("2025-01-02 00:00:00", "10:30:15"), "2025-01-02 10:30:15"),
        (["day", "time"], ("2025-01-02T00:00:00.000", "1899-12-30 10:30:00"), "2025-01-02 10:30"),
        (["day", "time"], ("2025-01-02", ""), "2025-01-02"),
        ({"constant": "2025-01-02"}, ("", ""), "2025-01-02"),
    ],
)
def test_timestamp_of_two_columns_or_a_constant(source: Any, values: tuple[str, str], expected: str) -> None:
    rows = {"id": ["a"], "amount": ["1"], "day": [values[0]], "time": [values[1]]}
    found = validate_columns(rows, columns=COLUMNS | {"event_timestamp": source}).rows["event_timestamp"]
    assert found.tolist() == [pd.Timestamp(expected, tz="UTC")]


def test_timestamp_of_two_columns_follows_the_format() -> None:
    rows = {"id": ["a"], "amount": ["1"], "day": ["31/01/2025"], "time": ["1:05 PM"]}
    found = validate_columns(
        rows, columns=COLUMNS | {"event_timestamp": ["day", "time"]}, timestamp_format="%d/%m/%Y %I:%M %p"
    ).rows["event_timestamp"]
    assert found.tolist() == [pd.Timestamp("2025-01-31 13:05", tz="UTC")]


def test_customer_id_of_two_columns_never_makes_one_id_of_two() -> None:
    pairs = [("x", "1"), ("x|", "1"), ("x", "|1"), ("x\\", "1"), ("x\\|", "1"), ("", "1"), ("x", "1.0")]
    rows = {"shop": [a for a, _ in pairs], "number": [b for _, b in pairs], "amount": ["1"] * len(pairs)}
    result = validate_columns(rows, columns=COLUMNS | {"customer_id": ["shop", "number"]})
    ids = result.rows["customer_id"].tolist()
    assert ids[0] == ids[-1] == "x|1"
    assert len(set(ids)) == 5
    assert result.reasons == {"customer_id is missing": 1}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"amount": {"constant": 9.99}}, (9.99, 1.0)),
        ({"amount": "amount", "quantity": {"constant": 3}}, (5.0, 3.0)),
        ({"amount": None, "quantity": "amount", "unit_price": {"constant": "0.5"}}, (2.5, 5.0)),
    ],
)
def test_constants_apply_to_every_row(columns: dict[str, Any], expected: tuple[float, float]) -> None:
    found = validate_columns({"id": ["a"], "amount": ["5"]}, columns=COLUMNS | columns).rows
    assert found[["amount", "quantity"]].values.tolist() == [list(expected)]


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (None, [[5.0, 1.0], [-2.0, -1.0]]),
        (["-3", "1"], [[5.0, 3.0], [-2.0, -1.0]]),
        (["3", "-1"], [[5.0, 3.0], [-2.0, -1.0]]),
    ],
)
def test_negated_amounts_are_purchases_below_zero(quantity: list[str] | None, expected: list[list[float]]) -> None:
    rows = {"id": ["a", "b"], "amount": ["-5", "2"]} | ({"n": quantity} if quantity else {})
    columns = COLUMNS | ({"quantity": "n"} if quantity else {})
    found = validate_columns(rows, columns=columns, amount_sign="negated").rows
    assert found[["amount", "quantity"]].values.tolist() == expected
