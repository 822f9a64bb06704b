"""Tests of the daily files, the sample of customers, and the data faults."""

from pathlib import Path

import pandas as pd
import pytest

from holdfast.ingestion.datasets import locate_dataset
from holdfast.ingestion.mapping_file import load_mapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.validation import validate_source
from simulations.daily_data import (
    AMOUNT,
    CUSTOMER,
    MAPPING,
    MAX_DAYS,
    START,
    DailyTransactions,
    read_transactions,
    start_of_day,
    write_day,
)
from simulations.faults import corrupt_amounts, raise_prices


@pytest.fixture(scope="module")
def transactions() -> DailyTransactions:
    return read_transactions(locate_dataset("cdnow")[0], 1000)


def test_history_and_days_contain_each_row_once(transactions: DailyTransactions) -> None:
    parts = [transactions.history(), *(transactions.on_day(start_of_day(number)) for number in range(MAX_DAYS))]
    assert sum(map(len, parts)) == len(transactions.rows) > 2000
    assert not pd.concat(parts).index.duplicated().any()
    assert transactions.on_day(start_of_day(MAX_DAYS)).empty


def test_read_transactions_larger_sample_contains_the_smaller(transactions: DailyTransactions) -> None:
    again, more = (
        read_transactions(locate_dataset("cdnow")[0], 1000),
        read_transactions(locate_dataset("cdnow")[0], 2000),
    )
    assert again.rows.equals(transactions.rows)
    assert transactions.rows[CUSTOMER].nunique() == 1000
    assert set(transactions.rows[CUSTOMER]) < set(more.rows[CUSTOMER])
    assert len(read_transactions(locate_dataset("cdnow")[0], 0).rows) == 69_659


def test_write_day_is_readable_with_the_mapping(transactions: DailyTransactions, tmp_path: Path) -> None:
    rows = transactions.on_day(START)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    mapping = load_mapping(tmp_path / "mapping.yaml")
    checked = validate_source(read_source(write_day(rows, tmp_path, "1998-05-01"), mapping), mapping, start_of_day(1))
    assert len(checked.rows) == len(rows) > 0
    assert checked.rows["amount"].tolist() == [float(amount) for amount in rows[AMOUNT]]
    assert set(checked.rows["event_timestamp"]) == {pd.Timestamp(START)}


def test_raise_prices_changes_only_amounts(transactions: DailyTransactions) -> None:
    rows = transactions.on_day(START)
    changed = raise_prices(rows, 1.5)
    assert [float(a) for a in changed[AMOUNT]] == pytest.approx([1.5 * float(a) for a in rows[AMOUNT]], abs=0.006)
    assert changed.drop(columns=AMOUNT).equals(rows.drop(columns=AMOUNT))


def test_corrupt_amounts_are_quarantined_and_others_are_not(transactions: DailyTransactions, tmp_path: Path) -> None:
    rows = transactions.history().tail(100)
    changed = corrupt_amounts(rows, 0.4, seed=0)
    assert changed.equals(corrupt_amounts(rows, 0.4, seed=0))
    assert (changed[AMOUNT] != rows[AMOUNT]).sum() == 40
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    mapping = load_mapping(tmp_path / "mapping.yaml")
    checked = validate_source(read_source(write_day(changed, tmp_path, "day"), mapping), mapping, START)
    assert len(checked.quarantine) == 40 + (rows[AMOUNT].astype(float) == 0).sum()
    assert len(checked.rows) == 100 - len(checked.quarantine)
