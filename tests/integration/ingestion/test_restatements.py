"""Restated exports are refused; new sales of known customers are added."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.corrections import RestatedRowsError
from holdfast.ingestion.kinds import TRANSACTIONS
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.restatements import find_restatement
from holdfast.ingestion.validation import ValidationResult, validate_source
from tests.support.ingestion_fixtures import read_table

DAY = pd.Timedelta(days=1)

SALES = [(f"k{number % 7}", pd.Timestamp("2025-03-01 08:00") + number * pd.Timedelta("7h13min11s"), 10 + number, 1)
         for number in range(40)]  # fmt: skip


def _lines(sales: list[tuple[str, pd.Timestamp, float, float]]) -> list[str]:
    return [f"{who},{when:%Y-%m-%d %H:%M:%S},{amount:.2f},{count}" for who, when, amount, count in sales]


RESTATED = {
    "tax added": lambda who, when, amount, count: (who, when, amount * 1.19, count),
    "minor units": lambda who, when, amount, count: (who, when, amount * 100, count),
    "sign": lambda who, when, amount, count: (who, when, -amount, -count),
    "summer time": lambda who, when, amount, count: (who, when - pd.Timedelta("2h"), amount, count),
    "far zone": lambda who, when, amount, count: (who, when + pd.Timedelta("10h30min"), amount, count),
    "minutes only": lambda who, when, amount, count: (who, when.floor("min"), amount, count),
    "minutes in summer time": lambda who, when, amount, count: (
        who,
        (when + pd.Timedelta("2h")).floor("min"),
        amount,
        count,
    ),
    "hours only": lambda who, when, amount, count: (who, when.floor("h"), amount, count),
    "days only": lambda who, when, amount, count: (who, when.normalize(), amount, count),
    "other ids": lambda who, when, amount, count: (f"{who}@shop.example", when, amount, count),
    "paid later": lambda who, when, amount, count: (who, when + pd.Timedelta(hours=3 + amount % 50), amount, count),
    "quantity": lambda who, when, amount, count: (who, when, amount, count + 1),
}


@pytest.mark.parametrize("change", RESTATED)
@pytest.mark.parametrize("added", [0, 15])
def test_commit_batch_with_restated_export_is_refused_and_replaces(
    settings: Settings, ingest: Callable, change: str, added: int
) -> None:
    old = ingest(*_lines(SALES))
    later = [("new", SALES[-1][1] + DAY * (2 + number), 5.0, 1) for number in range(added)]
    restated = _lines([RESTATED[change](*sale) for sale in SALES] + later)
    with pytest.raises(RestatedRowsError, match=rf"\d\d new rows equal stored rows of batch {old.batch_id}"):
        ingest(*restated, name="restated.csv")
    ingest(*restated, name="restated.csv", replace=(old.batch_id,))
    assert sum(read_table(settings).values()) == len(restated)


@pytest.mark.parametrize("lines_first", [True, False])
@given(shares=st.lists(st.lists(st.integers(1, 900), min_size=1, max_size=4), min_size=6, max_size=30))
@settings(max_examples=15, deadline=None)
def test_find_restatement_of_orders_by_lines_finds_all_orders(
    tmp_path_factory: pytest.TempPathFactory, shares: list[list[int]], lines_first: bool
) -> None:
    """An export of orders and one of their lines hold the same sales, unless each order has one line."""
    orders = [(f"k{n}", SALES[0][1] + n * DAY, sum(cents) / 100, 1) for n, cents in enumerate(shares)]
    lines = [(f"k{n}", SALES[0][1] + n * DAY, cent / 100, 1) for n, cents in enumerate(shares) for cent in cents]
    stored, source = (_frame(lines), _frame(orders)) if lines_first else (_frame(orders), _frame(lines))
    folder = tmp_path_factory.mktemp("stored")
    stored.assign(ingested_at=stored["event_timestamp"], batch_id="b").to_parquet(folder / "t.parquet")
    known = stored.merge(source, how="inner")
    new = np.flatnonzero(~source["customer_id"].isin(known["customer_id"]))
    found = find_restatement(TRANSACTIONS, source, new, [folder / "t.parquet"], folder)
    split = sum(len(cents) > 1 for cents in shares)
    assert (found.pairs if found else 0) == split
    if found:
        assert found.column == "lines"
        assert found.batch_ids == ("b",)
        assert found.is_certain == (split >= 3)


def test_commit_batch_with_day_and_month_swapped_is_refused(ingest: Callable) -> None:
    year = [(f"k{number % 7}", pd.Timestamp("2025-01-01") + number * 3 * DAY, 10 + number, 1) for number in range(100)]
    swapped = [(who, when.replace(day=when.month, month=when.day) if when.day <= 12 else when, amount, count)
               for who, when, amount, count in year]  # fmt: skip
    ingest(*_lines(year))
    with pytest.raises(RestatedRowsError, match="except for event_timestamp"):
        ingest(*_lines(swapped))


def test_commit_batch_with_few_edited_orders_adds_them_and_notes_the_command(ingest: Callable) -> None:
    many = [
        (f"k{number}", pd.Timestamp("2025-03-01") + number * pd.Timedelta("37min"), 9.0, 1) for number in range(900)
    ]
    old = ingest(*_lines(many))
    edited = [(who, when, 4.0 if number in (5, 50, 500) else amount, count)
              for number, (who, when, amount, count) in enumerate(many)]  # fmt: skip
    result = ingest(*_lines(edited))
    assert result.rows_added == 3
    (note,) = [note for note in result.notes if "except for amount" in note]
    assert f"--replace {old.batch_id}" in note


def _frame(sales: list[tuple[str, pd.Timestamp, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(sales, columns=["customer_id", "event_timestamp", "amount", "quantity"])
    times = frame["event_timestamp"].dt.tz_localize("UTC").dt.as_unit("us")
    numbers = {name: frame[name].astype("float64") for name in ("amount", "quantity")}
    return frame.assign(event_timestamp=times, source=pd.array([None] * len(frame), "string"), **numbers)


HONEST = {
    "append": [(who, when + DAY * 20, amount, count) for who, when, amount, count in SALES],
    "subscription": [(who, when + pd.Timedelta(days=31), amount, count) for who, when, amount, count in SALES],
    "grown export": [*SALES, ("k1", SALES[-1][1] + DAY, 3.0, 1)],
    "late arrivals": [("late", when + pd.Timedelta("5min"), amount, 1) for _, when, amount, _ in SALES[::9]],
    "second purchases": [(who, when + pd.Timedelta("3min"), 4.0, 1) for who, when, amount, count in SALES],
    "other branch": [(f"b{number % 5}", when + pd.Timedelta("11min"), amount % 7 + 1, 1)
                     for number, (_, when, amount, _) in enumerate(SALES)],
    "missing lines of orders": [(who, when, 2.0, 1) for who, when, amount, count in SALES[::9]],
}  # fmt: skip


@pytest.mark.parametrize("source_kind", HONEST)
def test_commit_batch_with_new_sales_of_known_customers_adds_them(ingest: Callable, source_kind: str) -> None:
    ingest(*_lines(SALES))
    result = ingest(*_lines(HONEST[source_kind]), name="next.csv")
    assert result.rows_added == len(set(HONEST[source_kind]) - set(SALES))


@pytest.mark.parametrize("change", RESTATED)
def test_validate_source_with_a_restated_export_beside_is_refused(tmp_path: Path, change: str) -> None:
    _write_folder(tmp_path, SALES, [RESTATED[change](*sale) for sale in SALES])
    with pytest.raises(IngestError, match="They would count twice"):
        _validate_folder(tmp_path)
    assert len(_validate_folder(tmp_path, overlapping_files="keep").rows) == 2 * len(SALES)
    assert len(_validate_folder(tmp_path, exclude_files=["2.csv"]).rows) == len(SALES)


@pytest.mark.parametrize("source_kind", HONEST)
def test_validate_source_with_new_sales_beside_reads_them(tmp_path: Path, source_kind: str) -> None:
    _write_folder(tmp_path, SALES, HONEST[source_kind])
    assert len(_validate_folder(tmp_path).rows) == len({*SALES, *HONEST[source_kind]})


def _write_folder(folder: Path, *exports: list[tuple[str, pd.Timestamp, float, float]]) -> None:
    for number, sales in enumerate(exports, start=1):
        (folder / f"{number}.csv").write_text("\n".join(["id,when,amount,n", *_lines(sales)]) + "\n")


def _validate_folder(folder: Path, **keys: Any) -> ValidationResult:
    columns = {"customer_id": "id", "event_timestamp": "when", "amount": "amount", "quantity": "n"}
    rules = ColumnMapping.model_validate({"columns": columns, **keys})
    return validate_source(read_source(folder, rules), rules, datetime(2026, 1, 1, tzinfo=UTC))


def test_commit_batch_with_subscriptions_of_two_branches_adds_both(ingest: Callable) -> None:
    """Many customers pay one price on one day: equal rows but for the customer identify no sale."""
    branches = [[f"{branch}{number},2025-0{month}-01,9.99,1" for number in range(30) for month in (1, 2, 3)]
                for branch in "ab"]  # fmt: skip
    ingest(*branches[0])
    assert ingest(*branches[1], name="b.csv").rows_added == 90


def test_commit_batch_with_new_rows_of_long_ago_notes_them(ingest: Callable) -> None:
    ingest("a,2025-01-01,5,1", "a,2025-09-01,5,1")
    result = ingest("b,2025-02-03,6,1", "b,2025-02-05,6,1", "b,2025-08-30,6,1", name="late.csv")
    (note,) = result.notes
    assert note.startswith("2 new rows are of long ago: 2025-02-03 to 2025-02-05, before the end of the stored data on")
