"""New rows of a source: those of a multiset difference, whatever the stored files contain."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast.ingestion import daily_rows
from holdfast.ingestion.daily_rows import DailyRows, query_daily_rows, read_daily_rows
from holdfast.ingestion.deduplication import QUARANTINE_KEY, find_new_rows
from holdfast.ingestion.history_extent import _read_files
from holdfast.ingestion.kinds import TRANSACTIONS

_START = pd.Timestamp("2024-01-01", tz="UTC")


def _draw_rows(rng: np.random.Generator, count: int, first_day: int, days: int) -> pd.DataFrame:
    """Draw rows of few different values, so that many are equal; optional columns have nulls."""
    day = rng.integers(first_day, first_day + days, count)
    optional = {
        name: pd.Series(rng.choice(np.array([None, "a", "b"], dtype=object), count), dtype=object)
        for name in TRANSACTIONS.key
        if name not in ("customer_id", "event_timestamp", "amount", "quantity")
    }
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice(["c1", "c2", "c3"], count),
            "event_timestamp": (_START + pd.to_timedelta(day, unit="D")).as_unit("us"),
            "amount": rng.choice([1.0, 2.5], count),
            "quantity": rng.choice([1.0, np.nan], count),
            **optional,
        }
    )
    return frame[list(TRANSACTIONS.key)]


def _list_keys(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame.itertuples(index=False)]


def _expect_new(source: list[tuple[object, ...]], stored: list[tuple[object, ...]]) -> list[int]:
    remaining, new = Counter(stored), []
    for position, row in enumerate(source):
        if remaining[row]:
            remaining[row] -= 1
        else:
            new.append(position)
    return new


@pytest.mark.parametrize("seed", range(12))
def test_find_new_rows_is_the_difference_of_multisets(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    files, stored = [], list[tuple[object, ...]]()
    for number in range(int(rng.integers(1, 4))):
        frame = _draw_rows(rng, int(rng.integers(0, 60)), int(rng.integers(0, 6)), 4)
        files.append(tmp_path / f"{number}.parquet")
        schema = pa.schema([TRANSACTIONS.table.field(name) for name in TRANSACTIONS.key])
        pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), files[-1])
        stored += _list_keys(frame)
    source = _draw_rows(rng, int(rng.integers(0, 40)), int(rng.integers(0, 8)), 2)
    found = find_new_rows(source, TRANSACTIONS.key, files, tmp_path, TRANSACTIONS.table)
    assert found.tolist() == _expect_new(_list_keys(source), stored)


def test_find_new_rows_of_a_table_without_times_is_the_difference_of_multisets(tmp_path: Path) -> None:
    stored = ["a", "b", "b", None]
    pq.write_table(pa.table({"raw": pa.array(stored, pa.string())}), tmp_path / "quarantine.parquet")
    source = pd.DataFrame({"raw": pd.Series(["b", "b", "b", "a", "c", None, None], dtype=object)})
    found = find_new_rows(source, QUARANTINE_KEY, [tmp_path / "quarantine.parquet"], tmp_path)
    assert found.tolist() == [2, 4, 6]


def test_extent_and_days_of_the_same_files_are_one_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def query(files: object, **_: object) -> DailyRows:
        calls.append(files)
        return query_daily_rows(())

    monkeypatch.setattr(daily_rows, "query_daily_rows", query)
    _read_files((tmp_path / "unknown.parquet",), None)
    read_daily_rows((tmp_path / "unknown.parquet",))
    assert len(calls) == 1
