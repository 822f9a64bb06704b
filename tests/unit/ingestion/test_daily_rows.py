"""Daily rows of a table that an ingest changes."""

from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.timestamps import DAY_US
from holdfast.ingestion.daily_rows import add_rows, count_daily_rows, query_daily_rows, read_daily_rows

ROWS = st.lists(st.tuples(st.integers(0, 6 * DAY_US - 1), st.sampled_from("abc")), min_size=1, max_size=12)


def _write(path: Path, rows: list[tuple[int, str]]) -> Path:
    times, customers = zip(*rows, strict=True)
    columns = {"event_timestamp": pa.array(times, pa.timestamp("us", "UTC")), "customer_id": pa.array(customers)}
    pq.write_table(pa.table(columns), path)
    return path


@given(ROWS, ROWS, ROWS)
@settings(max_examples=60, deadline=None)
def test_replace_days_of_a_change_equals_reading_the_whole_table(
    tmp_path_factory: pytest.TempPathFactory,
    stays: list[tuple[int, str]],
    removed: list[tuple[int, str]],
    added: list[tuple[int, str]],
) -> None:
    folder = tmp_path_factory.mktemp("batches")
    first, second, third = (_write(folder / str(i), rows) for i, rows in enumerate((stays, removed, added)))
    days = [time // DAY_US for time, _ in (*removed, *added)]
    start, end = min(days), max(days)
    found = read_daily_rows((first, second)).replace_days(start, end, query_daily_rows([first, third], start, end))
    whole = read_daily_rows((first, third))
    assert [column.tolist() for column in found] == [column.tolist() for column in whole]
    expected = {
        day: (len({customer for time, customer in (*stays, *added) if time // DAY_US == day}), len(times), min(times))
        for day in range(6)
        if (times := [time for time, _ in (*stays, *added) if time // DAY_US == day])
    }
    assert dict(zip(whole.days, zip(*whole[1:], strict=True), strict=True)) == expected


@given(ROWS, ROWS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_count_daily_rows_of_added_rows_equals_reading_the_whole_table(
    tmp_path_factory: pytest.TempPathFactory, stored: list[tuple[int, str]], added: list[tuple[int, str]], few: bool
) -> None:
    folder = tmp_path_factory.mktemp("batches")
    first, second = (_write(folder / str(i), rows) for i, rows in enumerate((stored, added)))
    frame = pq.read_table(second).to_pandas()
    with patch("holdfast.ingestion.daily_rows._MOST_MARKS", 50 if few else 0):
        found = add_rows(read_daily_rows((first,)), [first, second], frame)
    assert [column.tolist() for column in found] == [column.tolist() for column in read_daily_rows((first, second))]


def test_count_daily_rows_before_1970_and_without_rows() -> None:
    times = pd.to_datetime(["1969-12-31 23:00", "1970-01-01 00:00"], utc=True)
    found = count_daily_rows(pd.DataFrame({"event_timestamp": times, "customer_id": ["a", "a"]}))
    assert [column.tolist() for column in found] == [[-1, 0], [1, 1], [1, 1], [-3_600_000_000, 0]]
    none = pd.DataFrame({"event_timestamp": times[:0], "customer_id": pd.Series([], dtype=str)})
    assert [len(column) for column in count_daily_rows(none)] == [0, 0, 0, 0]


def test_daily_rows_of_no_files_are_empty() -> None:
    assert [len(column) for column in read_daily_rows(())] == [0, 0, 0, 0]
