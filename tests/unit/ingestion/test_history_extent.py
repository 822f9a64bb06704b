"""Extent of the stored transactions, as known at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from feature_repo.settings import Settings
from holdfast.ingestion.as_of import latest_as_of, resolve_as_of
from holdfast.ingestion.history_extent import DataGap, read_extent
from tests.support.daily_flows import draw_counts
from tests.support.feature_oracle import Transaction
from tests.support.ingest_pipeline import run_ingest
from tests.support.small_shop import MAPPING, ingest

FIRST = datetime(2023, 1, 1, tzinfo=UTC)
JUNE, JULY = datetime(2023, 6, 1, tzinfo=UTC), datetime(2023, 7, 1, tzinfo=UTC)
ARRIVAL = datetime(2024, 9, 1, tzinfo=UTC)
STRAY = Transaction("c1", datetime(2024, 8, 5, 12, tzinfo=UTC), 9.0, ARRIVAL)


def _rows(days: int = 400) -> list[Transaction]:
    """Rows of 400 days, about five customers a day."""
    counts = draw_counts("plain", 5, 8, days)
    times = [FIRST + timedelta(days=day, minutes=7 * n) for day, count in enumerate(counts) for n in range(count)]
    customers = np.random.default_rng(8).integers(0, 200, len(times))
    return [Transaction(f"c{number}", time, 5.0, ARRIVAL) for number, time in zip(customers, times, strict=True)]


def _without_june(rows: Sequence[Transaction]) -> list[Transaction]:
    return [row for row in rows if not JUNE <= row.event_timestamp < JULY]


def test_read_extent_without_batches_is_none(tmp_path: Path) -> None:
    assert read_extent(Settings(data=tmp_path)) is None


def test_read_extent_whole_history_has_its_edges(tmp_path: Path) -> None:
    rows = _rows()
    ingest(tmp_path, rows, ARRIVAL)
    extent = read_extent(Settings(data=tmp_path), ARRIVAL)
    assert extent is not None
    assert extent.begin == min(row.event_timestamp for row in rows)
    assert extent.end == FIRST + timedelta(days=400)
    assert (extent.gaps, extent.describe()) == ((), ())
    assert read_extent(Settings(data=tmp_path), ARRIVAL - timedelta(seconds=1)) is None


def test_read_extent_gap_is_healed_by_the_arrival_of_a_late_export(tmp_path: Path) -> None:
    rows, settings = _rows(), Settings(data=tmp_path)
    ingest(tmp_path, _without_june(rows), ARRIVAL)
    late = [row for row in rows if JUNE <= row.event_timestamp < JULY]
    source, mapping = tmp_path / "june.csv", tmp_path / "mapping.yaml"
    lines = [f"{row.customer_id},{row.event_timestamp.isoformat()},{row.amount}\n" for row in late]
    source.write_text("id,when,amount\n" + "".join(lines))
    mapping.write_text(MAPPING)
    result = run_ingest(settings, source, mapping, ARRIVAL + timedelta(days=9))
    before, after = read_extent(settings, ARRIVAL + timedelta(days=8)), read_extent(settings)
    assert before is not None and after is not None
    assert (before.gaps, after.gaps) == ((DataGap(JUNE, JULY, 0),), ())
    assert result.notes[-1] == "Gap in the data filled: 2023-06-01 to 2023-06-30 (30 days)."


def test_ingest_notes_a_gap_once(tmp_path: Path) -> None:
    mapping, settings = tmp_path / "mapping.yaml", Settings(data=tmp_path / "data")
    mapping.write_text(MAPPING)
    results = []
    for name, rows in (("first", _without_june(_rows(399))), ("second", _without_june(_rows(400))[-3:])):
        source = tmp_path / f"{name}.csv"
        lines = [f"{row.customer_id},{row.event_timestamp.isoformat()},{row.amount}\n" for row in rows]
        source.write_text("id,when,amount\n" + "".join(lines))
        results.append(run_ingest(settings, source, mapping))
    assert "Gap in the data: 2023-06-01 to 2023-06-30 (30 days) has no rows." in results[0].summary()
    assert not any("Gap" in note for note in results[1].notes)


def test_read_extent_later_rows_do_not_count_at_an_earlier_as_of(tmp_path: Path) -> None:
    ingest(tmp_path, [*_without_june(_rows()), STRAY], ARRIVAL)
    settings = Settings(data=tmp_path)
    for as_of, end, gaps in (
        (datetime(2023, 6, 20, tzinfo=UTC), JUNE, 0),
        (datetime(2023, 12, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC), 1),
    ):
        extent = read_extent(settings, ARRIVAL, as_of)
        assert extent is not None
        assert (extent.end, len(extent.gaps), extent.rows_after) == (end, gaps, 0)
    assert read_extent(settings, ARRIVAL, FIRST) is None


def test_data_clock_with_rows_months_from_the_others_is_the_end_of_the_flow(tmp_path: Path) -> None:
    early = Transaction("c2", datetime(2022, 6, 1, tzinfo=UTC), 9.0, ARRIVAL)
    rows = _rows()
    ingest(tmp_path, [early, *rows, STRAY], ARRIVAL)
    settings, now = Settings(data=tmp_path, clock="data"), datetime(2026, 1, 1, tzinfo=UTC)
    end = FIRST + timedelta(days=400)
    assert resolve_as_of(None, settings, now) == end
    assert end < latest_as_of(settings, now) < end + timedelta(days=30)
    extent = read_extent(settings)
    assert extent is not None
    assert (extent.begin, extent.rows_before, extent.rows_after) == (min(row.event_timestamp for row in rows), 1, 1)
    before, after = extent.describe()
    assert before.startswith("Before the data begin: 1 row from 2022-06-01 on.")
    assert after.startswith("After the data end: 1 row up to 2024-08-05. The flow of rows ends on 2024-02-04.")


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("2023-05-01", "2023-06-01", False),
        ("2023-05-01", "2023-06-02", True),
        ("2023-06-30", "2023-08-01", True),
        ("2023-07-01", "2023-08-01", False),
    ],
)
def test_find_gap_overlap_is_half_open(start: str, end: str, found: bool) -> None:
    times = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)]
    assert DataGap(JUNE, JULY, 0).overlaps(*times) is found
