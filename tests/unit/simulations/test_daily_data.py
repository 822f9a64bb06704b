"""Day files, the sample of customers, and the faults of data."""

from pathlib import Path

import pandas as pd
import pytest

from holdfast.ingestion.column_mapping import load_mapping
from holdfast.ingestion.datasets import locate_dataset
from holdfast.ingestion.readers import read_source
from holdfast.ingestion.validation import validate_source
from simulations.daily_data import AMOUNT, CUSTOMER, MAPPING, MOST_DAYS, START, Days, day_after, read_days, write_day
from simulations.faults import broken_amounts, dearer


@pytest.fixture(scope="module")
def days() -> Days:
    return read_days(locate_dataset("cdnow")[0], 1000)


def test_history_and_days_are_everything_once(days: Days) -> None:
    parts = [days.history(), *(days.of(day_after(START, number)) for number in range(MOST_DAYS))]
    assert sum(map(len, parts)) == len(days.rows) > 2000
    assert not pd.concat(parts).index.duplicated().any()
    assert days.of(day_after(START, MOST_DAYS)).empty


def test_the_sample_is_the_same_one_each_time_and_a_larger_one_holds_it(days: Days) -> None:
    again, more = read_days(locate_dataset("cdnow")[0], 1000), read_days(locate_dataset("cdnow")[0], 2000)
    assert again.rows.equals(days.rows)
    assert days.rows[CUSTOMER].nunique() == 1000
    assert set(days.rows[CUSTOMER]) < set(more.rows[CUSTOMER])
    assert len(read_days(locate_dataset("cdnow")[0], 0).rows) == 69_659


def test_a_day_is_read_by_the_mapping_as_it_was_written(days: Days, tmp_path: Path) -> None:
    rows = days.of(START)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    mapping = load_mapping(tmp_path / "mapping.yaml")
    checked = validate_source(
        read_source(write_day(rows, tmp_path, "1998-05-01"), mapping), mapping, day_after(START, 1)
    )
    assert len(checked.transactions) == len(rows) > 0
    assert checked.transactions["amount"].tolist() == [float(amount) for amount in rows[AMOUNT]]
    assert set(checked.transactions["event_timestamp"]) == {pd.Timestamp(START)}


def test_a_dearer_day_differs_in_its_amounts_alone(days: Days) -> None:
    rows = days.of(START)
    changed = dearer(rows, 1.5)
    assert [float(a) for a in changed[AMOUNT]] == pytest.approx([1.5 * float(a) for a in rows[AMOUNT]], abs=0.006)
    assert changed.drop(columns=AMOUNT).equals(rows.drop(columns=AMOUNT))


def test_broken_amounts_go_to_quarantine_and_the_others_count(days: Days, tmp_path: Path) -> None:
    rows = days.history().tail(100)
    changed = broken_amounts(rows, 0.4, seed=0)
    assert changed.equals(broken_amounts(rows, 0.4, seed=0))
    assert (changed[AMOUNT] != rows[AMOUNT]).sum() == 40
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    mapping = load_mapping(tmp_path / "mapping.yaml")
    checked = validate_source(read_source(write_day(changed, tmp_path, "day"), mapping), mapping, START)
    assert len(checked.quarantine) == 40 + (rows[AMOUNT].astype(float) == 0).sum()
    assert len(checked.transactions) == 100 - len(checked.quarantine)
