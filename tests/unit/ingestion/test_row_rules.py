"""Rules of a mapping for rows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import Source
from holdfast.ingestion.row_rules.apply import apply_row_rules
from holdfast.ingestion.row_rules.carry_down import carry_down_values
from holdfast.ingestion.validation import validate_source
from tests.support.source_tables import COLUMNS, NOW, list_amounts, make_source_file, validate_columns

STATUSES = {
    "id": ["1", "2", "3", "4", "5", "6"],
    "amount": ["1", "2", "3", "4", "five", "6"],
    "status": ["paid", "test", " paid ", "", "pending", "N/A"],
    "kind": ["Sale", "Sale", "Fee", "Sale", "Sale", "Sales tax"],
}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"where": {"status": "paid"}}, ["1", "3"]),
        ({"where": {"status": ["paid", "test"]}}, ["1", "2", "3"]),
        ({"where": {"status": ["paid", "test"], "kind": "Sale"}}, ["1", "2"]),
        ({"where": {"kind": {"starts_with": "Sale"}, "amount": {"is": ["2", 6]}}}, ["2", "6"]),
        ({"where": {"status": None}}, ["4", "6"]),
        ({"where": {"status": [None, "test"]}}, ["2", "4", "6"]),
        ({"where": {"status": "N/A"}}, ["6"]),
        ({"where_not": {"status": "pending"}}, ["1", "2", "3", "4", "6"]),
        ({"where_not": {"status": "pending", "kind": {"starts_with": "S"}}}, ["3"]),
        ({"where": {"status": "paid"}, "where_not": {"kind": "Fee"}}, ["1"]),
    ],
)
def test_where_reads_the_matching_rows_only(rules: dict[str, Any], expected: list[str]) -> None:
    result = validate_columns(STATUSES, **rules)
    assert result.rows["customer_id"].tolist() == expected
    assert (result.rows_filtered, len(result.quarantine), result.rows_read) == (6 - len(expected), 0, 6)


def test_where_gives_the_left_out_values_as_note() -> None:
    result = validate_columns(STATUSES, where={"status": "paid"}, where_not={"kind": ["Fee", "Gift"]})
    assert result.notes == (
        "where leaves out 4 rows by column 'status': 'test' (1), blank (1), 'pending' (1) and 1 more value.",
        "where_not: no row has 'Gift' in column 'kind'; it has 'Sale' (4), 'Fee' (1), 'Sales tax' (1).",
        "where_not leaves out 1 rows by column 'kind': 'Fee' (1).",
    )


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"where": {"status": "refunded"}}, r"leave no row: column 'status' has 'paid' \(2\)"),
        ({"where": {"status": ["test", "Paid"]}}, r"no value 'Paid', which `where`.*but 'paid'"),
        ({"where_not": {"kind": ["SALE"]}}, r"no value 'SALE', which `where_not`.*but 'Sale'"),
    ],
)
def test_where_with_a_value_that_no_row_has_is_rejected(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(IngestError, match=message):
        validate_columns(STATUSES, **rules)


@pytest.mark.parametrize(
    ("rule", "note"),
    [
        (
            {"is": "canceled"},
            "no row has 'canceled' in column 'status'; it has 'paid' (1), 'cancelled' (1). Did you mean",
        ),
        ({"starts_with": "void"}, "no row has 'void' at its begin in column 'status'; it has 'paid' (1)"),
    ],
)
def test_cancellation_that_no_row_has_gives_a_note(rule: dict[str, Any], note: str) -> None:
    rows = {"id": ["1", "2"], "amount": ["1", "2"], "status": ["paid", "cancelled"]}
    assert note in validate_columns(rows, cancellation={"column": "status", **rule}).notes[0]
    with pytest.raises(IngestError, match=r"no value '(Paid|PA)', which `cancellation`.*but 'paid'"):
        validate_columns(
            rows, cancellation={"column": "status"} | ({"is": "Paid"} if "is" in rule else {"starts_with": "PA"})
        )


def test_where_compares_whole_numbers_of_a_float_column() -> None:
    columns = {"id": ["a", "b"], "when": ["2025-01-01"] * 2, "amount": ["1", "2"], "kind": ["1.0", "2.5"]}
    file = make_source_file(columns)
    rules = ColumnMapping.model_validate({"columns": COLUMNS, "where": {"kind": [1, "2.5"]}})
    typed = replace(file, types={"kind": pa.float64()})
    assert apply_row_rules(Source("source", "0", [typed]), rules).rows_filtered == 0
    assert apply_row_rules(Source("source", "0", [file]), rules).rows_filtered == 1


def test_filtered_rows_do_not_dilute_the_share_of_bad_rows() -> None:
    rows = {"id": ["1"] * 10, "amount": ["1", "x", "x", *["5"] * 7], "status": [*["paid"] * 3, *["test"] * 7]}
    with pytest.raises(IngestError, match="2 of 3 rows are bad"):
        validate_columns(rows, where={"status": "paid"}, max_bad_share=0.5)


@pytest.mark.parametrize("rule", [{"is": "refunded"}, {"is": ["refunded", "void"]}, {"starts_with": "ref"}])
def test_cancellation_by_status_makes_returns(rule: dict[str, Any]) -> None:
    rows = {"id": ["1", "2", "3"], "amount": ["1", "2", "-3"], "status": ["paid", "refunded ", "refunded"]}
    result = validate_columns(rows, cancellation={"column": "status", **rule})
    assert list_amounts(result) == [("1", 1.0), ("2", -2.0), ("3", -3.0)]


def test_carry_down_fills_blanks_of_the_same_order_only() -> None:
    rows = {
        "order": ["7", "7", "8", "8", "", "7", "9"],
        "id": ["a", "", "", "b", "", "n/a", ""],
        "amount": ["1", "2", "3", "4", "5", "6", "7"],
    }
    result = validate_columns(rows, carry_down={"by": "order", "columns": "id"})
    assert list_amounts(result) == [("a", 1.0), ("a", 2.0), ("b", 4.0), ("a", 6.0)]
    assert result.quarantine["row_number"].tolist() == [3, 5, 7]


def test_carry_down_ends_with_the_file() -> None:
    files = [make_source_file({"order": ["7", "7"], "id": [id_, ""]}) for id_ in ("a", "")]
    rules = ColumnMapping.model_validate({"columns": COLUMNS, "carry_down": {"by": ["order"], "columns": ["id"]}})
    found = apply_row_rules(Source("source", "0", files), rules).source.files
    assert [file.rows["id"].to_pylist() for file in found] == [["a", "a"], ["", ""]]


@given(st.lists(st.tuples(st.sampled_from(["7", "8", ""]), st.sampled_from(["", "", "a", "b"]))))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_carry_down_equals_a_loop_over_the_rows(lines: list[tuple[str, str]]) -> None:
    rule = ColumnMapping.model_validate({"columns": COLUMNS, "carry_down": {"by": "order", "columns": "id"}}).carry_down
    assert rule is not None
    latest: dict[str, str] = {}
    expected = []
    for order, value in lines:
        if order:
            latest[order] = value or latest.get(order, "")
        expected.append(latest[order] if order else value)
    file = make_source_file({"order": [order for order, _ in lines], "id": [value for _, value in lines]})
    assert carry_down_values(file, rule).rows["id"].to_pylist() == expected


@pytest.mark.parametrize("repeated", ["", "10"])
def test_one_row_per_order_reads_the_first_line_with_an_amount(repeated: str) -> None:
    rows = {
        "order": ["7", "7", "7", "8", "8", "", ""],
        "id": ["a", "a", "", "b", "b", "c", "c"],
        "amount": ["10", repeated, repeated, "", "20", "5", "5"],
    }
    result = validate_columns(rows, one_row_per="order")
    assert list_amounts(result) == [("a", 10.0), ("b", 20.0), ("c", 5.0), ("c", 5.0)]
    assert (result.rows_filtered, result.rows_read, len(result.quarantine)) == (3, 7, 0)


def test_one_row_per_order_quarantines_a_contradiction_and_rejects_many() -> None:
    rows = {
        "order": ["7", "7", "8", "8", "9", "9"],
        "id": ["a", "a", "b", "b", "c", "c"],
        "amount": ["10", "10", "20", "21", "30", "30"],
    }
    result = validate_columns(rows, one_row_per="order")
    assert list_amounts(result) == [("a", 10.0), ("c", 30.0)]
    assert result.reasons == {"lines of one order contradict each other": 1}
    with pytest.raises(IngestError, match=r"(?s)lines of 3 of 3 differ in amount: '10' \(source.csv, row 1\), '11'"):
        validate_columns(rows | {"amount": ["10", "11", "20", "21", "30", "31"]}, one_row_per="order")
    with pytest.raises(IngestError, match="differ in customer_id"):
        validate_columns(rows | {"id": list("abcdef")}, one_row_per="order")


@pytest.mark.parametrize(("refunds", "contradicts"), [(["", "0.00"], False), (["2", "2"], False), (["", "2"], True)])
def test_refund_of_a_line_that_does_not_count_is_a_contradiction(refunds: list[str], contradicts: bool) -> None:
    rows = {"order": ["7", "7"], "id": ["a", "a"], "amount": ["10", ""], "refunded": refunds}
    result = validate_columns(rows, one_row_per="order", refund="refunded")
    assert (len(result.quarantine) > 0) is contradicts


def test_one_row_per_order_counts_an_order_of_two_files_once() -> None:
    files = [make_source_file({"order": ["7"], "id": ["a"], "amount": ["5"], "when": ["2025-01-01"]}, n) for n in "xy"]
    rules = ColumnMapping.model_validate({"columns": COLUMNS, "one_row_per": ["order"]})
    assert len(validate_source(Source("source", "0", files), rules, NOW).rows) == 1


def test_carry_down_fills_the_order_itself_from_the_row_above() -> None:
    rows = {
        "order": ["", "7", "", "8", ""],
        "id": ["", "a", "", "", "b"],
        "amount": ["1", "2", "3", "4", "5"],
    }
    result = validate_columns(rows, carry_down={"by": "order", "columns": ["order", "id"]})
    assert list_amounts(result) == [("a", 2.0), ("a", 3.0), ("b", 5.0)]
    assert result.quarantine["row_number"].tolist() == [1, 4]


def test_refund_column_adds_returns() -> None:
    rows = {
        "id": ["a", "b", "c", "d", "e"],
        "amount": ["10", "20", "30", "40", "50"],
        "refunded": ["0.00", "5", "-30", "", "x"],
        "refunded at": ["", "2025-02-01", "2025-02-02", "", "2025-02-03"],
    }
    result = validate_columns(rows, refund="refunded")
    assert list_amounts(result) == [
        ("a", 10.0),
        ("b", 20.0),
        ("c", 30.0),
        ("d", 40.0),
        ("e", 50.0),
        ("b", -5.0),
        ("c", -30.0),
    ]
    assert result.rows["quantity"].tolist() == [1.0] * 5 + [-1.0] * 2
    assert (result.rows_read, result.rows_from_refunds, result.rows_filtered) == (5, 3, 0)
    assert result.quarantine[["row_number", "reasons"]].values.tolist() == [[5, ["amount is not a number"]]]
    dated = validate_columns(rows, refund={"amount": "refunded", "event_timestamp": "refunded at"}).rows
    assert dated["event_timestamp"].dt.month.tolist() == [1] * 5 + [2] * 2


def test_refund_of_a_cancelled_row_counts_once() -> None:
    rows = {"id": ["a", "b"], "amount": ["10", "20"], "refunded": ["10", "5"], "status": ["refunded", "paid"]}
    result = validate_columns(rows, refund="refunded", cancellation={"column": "status", "is": "refunded"})
    assert list_amounts(result) == [("a", -10.0), ("b", 20.0), ("b", -5.0)]


def test_refund_column_without_a_readable_value_is_rejected() -> None:
    rows = {"id": ["a", "b"], "amount": ["10", "20"], "refunded": ["", "yes"]}
    with pytest.raises(IngestError, match=r"'refunded' can be read as amount .*Correct `refund.amount` or `decimal`"):
        validate_columns(rows, refund="refunded")


def test_exact_duplicates_of_refunds_are_quarantined_with_their_purchases() -> None:
    rows = {"id": ["a", "a"], "amount": ["10", "10"], "refunded": ["10", "10"]}
    result = validate_columns(rows, refund="refunded", exact_duplicates="quarantine")
    assert list_amounts(result) == [("a", 10.0), ("a", -10.0)]


@given(
    st.lists(st.tuples(st.sampled_from(["7", "8", "9", ""]), st.sampled_from(["5", ""])), min_size=1),
    st.integers(0, 3),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_one_row_per_order_equals_a_group_by_of_pandas(lines: list[tuple[str, str]], cut: int) -> None:
    frame = pd.DataFrame(lines, columns=["order", "amount"]).assign(id="a", when="2025-01-01")
    files = [
        make_source_file({name: part[name].tolist() for name in frame}, f"{number}.csv")
        for number, part in enumerate((frame.iloc[:cut], frame.iloc[cut:]))
    ]
    rules = ColumnMapping.model_validate({"columns": COLUMNS, "one_row_per": "order"})
    found = apply_row_rules(Source("source", "0", files), rules)
    remaining = [f"{file.name} {row}" for file in found.source.files for row in file.row_numbers.tolist()]
    names = [f"{file.name} {row}" for file in files for row in file.row_numbers.tolist()]
    frame = frame.assign(name=names, blank=frame["amount"] == "", position=range(len(frame)))
    first = frame[frame["order"] != ""].sort_values(["blank", "position"]).groupby("order")["name"].first()
    alone = frame.loc[frame["order"] == "", "name"]
    assert sorted(remaining) == sorted([*first, *alone])
    assert found.rows_filtered == len(frame) - len(remaining)


LINES = st.lists(
    st.tuples(
        st.sampled_from(["7", "8", "9"]),
        st.sampled_from(["paid", "test", ""]),
        st.sampled_from(["", "1", "2", "x"]),
        st.sampled_from(["", "0", "1"]),
    ),
    min_size=1,
)


@given(LINES)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_counts_of_rows_add_up(lines: list[tuple[str, str, str, str]]) -> None:
    rows = dict(zip(("order", "status", "amount", "refunded"), map(list, zip(*lines, strict=True)), strict=True))
    rules = {"where_not": {"status": "test"}, "refund": "refunded"}
    try:
        result = validate_columns(rows | {"id": ["a"] * len(lines)}, **rules)
    except IngestError:
        return
    frame = pd.DataFrame(rows)
    remaining = frame[frame["status"] != "test"]
    purchases = remaining[remaining["amount"].isin(["1", "2"])]
    refunds = remaining[remaining["refunded"] == "1"]
    assert sorted(result.rows["amount"]) == sorted([*purchases["amount"].astype(float), *[-1.0] * len(refunds)])
    assert (result.rows_read, result.rows_filtered) == (len(lines), len(lines) - len(remaining))
    assert len(result.quarantine) == len(remaining) - len(purchases)


def test_rows_with_a_reason_for_quarantine_are_never_left_out(checked: Callable) -> None:
    text = 'id,when,amount,status\n1,2025-01-01,5,test\n2,2025-01-01,5,paid\n3,2025-01-01,5,"x\n4,2025-01-01,6,y"\n'
    result = checked(text, where={"status": "paid"})
    assert result.rows_read == result.rows_filtered + len(result.rows) + len(result.quarantine)
