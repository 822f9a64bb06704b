"""Joins of files of one folder."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.joins import join_files
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.validation import ValidationResult, validate_source
from tests.support.source_tables import make_source_file

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = {"customer_id": "person", "event_timestamp": "when", "amount": "value"}
FILES = {
    "orders.csv": "order,when,customer\no1,2025-01-01,c1\no2,2025-01-02,c2\no3,2025-01-03,c9\n",
    "payments.csv": "order,value\no1,10\no1,5\no2,7\no3,1\no8,3\n,4\n",
    "customers.csv": "customer,person\nc1,p1\nc2,p2\n",
    "products.csv": "product,when\nx,y\n",
}
JOIN = [{"file": "orders.csv", "on": "order"}, {"file": "customers.csv", "on": "customer"}]


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., ValidationResult]:
    """Validate a folder of files."""

    def run(content: dict[str, Any], /, **mapping: Any) -> ValidationResult:
        for name, file in content.items():
            if isinstance(file, pd.DataFrame):
                file.to_parquet(tmp_path / name)
            else:
                (tmp_path / name).write_text(file)
        rules = ColumnMapping.model_validate(
            {"columns": COLUMNS, "max_bad_share": 1, "rows_from": "payments.*", "join": JOIN, **mapping}
        )
        return validate_source(read_source(tmp_path, rules), rules, NOW)

    return run


def _rows(result: ValidationResult) -> list[tuple[str, str, float]]:
    frame = result.rows.assign(day=result.rows["event_timestamp"].dt.strftime("%Y-%m-%d"))
    return list(frame[["customer_id", "day", "amount"]].itertuples(index=False, name=None))


EXPECTED = [("p1", "2025-01-01", 10.0), ("p1", "2025-01-01", 5.0), ("p2", "2025-01-02", 7.0)]


def test_join_adds_columns_of_several_files(check: Callable) -> None:
    result = check(FILES)
    assert _rows(result) == EXPECTED
    assert dict(zip(result.quarantine["row_number"], map(list, result.quarantine["reasons"]), strict=True)) == {
        4: ["customer_id is missing", "no row of customers.csv has this customer"],
        5: [
            "customer_id is missing",
            "event_timestamp is missing",
            "no row of orders.csv has this order",
            "no row of customers.csv has this customer",
        ],
        6: [
            "customer_id is missing",
            "event_timestamp is missing",
            "no row of orders.csv has this order",
            "no row of customers.csv has this customer",
        ],
    }
    assert (result.rows_read, set(result.quarantine["source_file"])) == (6, {"payments.csv"})
    assert "products.csv: left out, neither rows_from nor join names it." in result.notes


def test_join_reads_equal_keys_of_typed_and_text_files(check: Callable) -> None:
    orders = pd.DataFrame(
        {"id": [1.0, 2.0], "when": pd.to_datetime(["2025-01-01", "2025-01-02"]), "person": ["a", "b"]}
    )
    payments = "order,value\n 1 ,10\n2.0,7\n"
    join = [{"file": "orders.parquet", "left_on": "order", "right_on": "id"}]
    result = check({"orders.parquet": orders, "payments.csv": payments}, join=join)
    assert _rows(result) == [("a", "2025-01-01", 10.0), ("b", "2025-01-02", 7.0)]


def test_join_on_two_columns_reads_files_of_a_pattern_as_one(check: Callable) -> None:
    files = {
        "orders-1.csv": "shop,order,when,person\nx,1,2025-01-01,a\n",
        "orders-2.csv": "shop,order,when,person\ny,1,2025-01-02,b\n",
        "payments.csv": "shop,order,value\ny,1,5\nx,1,7\n",
    }
    result = check(files, join=[{"file": "orders-*", "on": ["shop", "order"]}])
    assert _rows(result) == [("b", "2025-01-02", 5.0), ("a", "2025-01-01", 7.0)]


def test_joined_rows_that_differ_in_other_columns_only_are_one(check: Callable) -> None:
    files = FILES | {"customers.csv": "customer,person,city\nc1,p1,Rome\nc1,p1,Oslo\nc2,p2,Rome\n"}
    assert _rows(check(files)) == EXPECTED


def test_prefix_selects_one_of_two_columns_with_the_same_name(check: Callable) -> None:
    files = FILES | {"payments.csv": "order,value,when\no1,10,2025-06-01\n"}
    with pytest.raises(IngestError, match=r"Column 'when' is in the rows and in orders.csv. Set a `prefix`.*orders_"):
        check(files)
    join = [
        {"file": "orders.csv", "on": "order", "prefix": "orders_"},
        {"file": "customers.csv", "left_on": "orders_customer", "right_on": "customer"},
    ]
    assert _rows(check(files, join=join)) == [("p1", "2025-06-01", 10.0)]
    assert _rows(check(files, join=join, columns=COLUMNS | {"event_timestamp": "orders_when"})) == EXPECTED[:1]


@pytest.mark.parametrize(
    ("files", "rules", "message"),
    [
        (
            {"customers.csv": "customer,person\nc1,p1\nc1,p2\n"},
            {},
            r"customers.csv: 1 values of 'customer' have two rows that differ, for example 'c1'",
        ),
        (
            {"customers.csv": "customer,person\nC-1,p1\n"},
            {},
            r"No 'customer' of the rows is in customers.csv: the rows have 'c1', 'c1', 'c2', the file has 'C-1'",
        ),
        (
            {"customers.csv": "Customer,person\nc1,p1\n"},
            {},
            r"customers.csv: column 'customer'.*Did you mean 'Customer'",
        ),
        ({"customers.csv": "customer,name\nc1,p1\n"}, {}, r"payments.csv: column 'person'.*is missing"),
        ({}, {"join": [{"file": "clients.csv", "on": "x"}]}, r"No file.*'clients.csv'.*orders.csv, payments.csv"),
        ({}, {"rows_from": "lines.csv"}, r"No file.*'lines.csv', which `rows_from`"),
        ({}, {"rows_from": None}, r"products.csv: column .* is missing.*name the files with rows in `rows_from`"),
        ({}, {"rows_from": "orders.csv"}, "Every file of the source is named by `join`"),
    ],
)
def test_join_that_does_not_fit_is_rejected(
    check: Callable, files: dict[str, str], rules: dict[str, Any], message: str
) -> None:
    with pytest.raises(IngestError, match=message):
        check(FILES | files, **rules)


def test_rule_for_files_that_do_not_exist_gives_a_note(check: Callable) -> None:
    rules = [{"match": "payments-*.csv", "decimal": ","}, {"match": "orders.csv", "quoted": True}]
    assert "No file of the source has a name that `files` matches: 'payments-*.csv'." in check(FILES, files=rules).notes


def test_rule_for_a_joined_file_reads_its_table_only(check: Callable) -> None:
    files = FILES | {"customers.csv": "customer;person\nc1;p1\nc2;p2\n"}
    assert _rows(check(files, files=[{"match": "customers.csv", "delimiter": ";"}])) == EXPECTED
    with pytest.raises(IngestError, match=r"'customers.csv' in `files` sets decimal, which has no effect"):
        check(files, files=[{"match": "customers.csv", "delimiter": ";", "decimal": ","}])


def test_bad_lines_of_a_joined_file_leave_rows_without_a_partner(check: Callable) -> None:
    result = check(FILES | {"customers.csv": "customer,person\nc1,p1\nc2,p2,x\n"})
    assert _rows(result) == EXPECTED[:2]
    assert "customers.csv: 1 bad lines are left out of the join." in result.notes


KEYS = st.sampled_from(["a", "b", "c", ""])


@given(st.lists(KEYS, min_size=1), st.dictionaries(KEYS, st.sampled_from(["x", "y"])))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_join_equals_a_merge_of_pandas(left: list[str], right: dict[str, str]) -> None:
    rows = make_source_file({"k": left, "n": [str(i) for i in range(len(left))]}, "rows.csv")
    table = make_source_file({"k": list(right), "v": list(right.values())}, "table.csv")
    rules = ColumnMapping.model_validate(
        {
            "columns": {"customer_id": "v", "event_timestamp": "n", "amount": "m"},
            "join": [{"file": "table.csv", "on": "k"}],
        }
    )
    expected = [right.get(key, "") if key else "" for key in left]
    if not any(key and key in right for key in left):
        with pytest.raises(IngestError, match="No 'k' of the rows"):
            join_files([rows, table], rules)
        return
    (joined,), _ = join_files([rows, table], rules)
    merged = pd.DataFrame({"k": left}).merge(
        pd.DataFrame({"k": [k for k in right if k], "v": [v for k, v in right.items() if k]}, dtype=object), "left", "k"
    )
    assert joined.rows["v"].to_pylist() == expected == merged["v"].fillna("").tolist()
    without = joined.issues[0].rows.tolist() if joined.issues else [False] * len(left)
    assert without == [not value for value in expected]
