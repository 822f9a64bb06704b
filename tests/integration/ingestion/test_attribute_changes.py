"""Attributes of customers: changes, contradictions, and values by the time of the customer and of the arrival."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from feature_repo.settings import Settings
from holdfast.ingestion.attribute_changes import find_changes
from holdfast.ingestion.batches import table_files
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.results import IngestResult
from tests.support.ingest_pipeline import run_ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MAPPING = (
    "kind: attributes\ncolumns: {customer_id: id, event_timestamp: when, attributes: {country: country}}\n"
    "erased_values: [deleted]\nmax_bad_share: 1\n"
)
Statement = tuple[str, int, str | None]  # customer, day, value


def _ingest(
    settings: Settings, lines: list[str], number: int, mapping: str = MAPPING, **options: object
) -> IngestResult:
    folder = settings.data.parent
    source, path = folder / f"{number}.csv", folder / "attributes.yaml"
    source.write_text("\n".join(["id,when,country", *lines]) + "\n")
    path.write_text(mapping)
    return run_ingest(settings, source, path, NOW + number * DAY, **options)  # type: ignore[arg-type]


def _read(settings: Settings, known_at: datetime | None = None) -> list[tuple[str, str, str | None]]:
    frames = [pd.read_parquet(file) for file in table_files(settings, "attributes", known_at)]
    rows = pd.concat(frames) if frames else pd.DataFrame(columns=["customer_id", "event_timestamp", "value"])
    days = pd.to_datetime(rows["event_timestamp"], utc=True).dt.strftime("%m-%d")
    return list(zip(rows["customer_id"], days, rows["value"].where(rows["value"].notna(), None), strict=True))


def test_row_with_the_valid_value_adds_nothing(settings: Settings) -> None:
    first = _ingest(settings, ["a,2025-01-01,UK", "a,2025-01-02,UK", "a,2025-01-03,FR", "a,2025-01-04,UK"], 0)
    assert (first.rows_added, first.rows_already_known) == (3, 1)
    grown = _ingest(settings, ["a,2025-01-04,UK", "a,2025-01-05,UK", "a,2025-01-06,deleted", "a,2025-01-07,deleted"], 1)
    assert (grown.rows_added, grown.rows_already_known) == (1, 3)
    assert _read(settings) == [("a", "01-01", "UK"), ("a", "01-03", "FR"), ("a", "01-04", "UK"), ("a", "01-06", None)]


@pytest.mark.parametrize("blank", ["", "null", "NaN", "n/a", "unknown"])
def test_blank_states_nothing_unless_the_mapping_erases_by_it(settings: Settings, blank: str) -> None:
    mapping = MAPPING + "missing_values: [unknown]\n"
    result = _ingest(settings, ["a,2025-01-01,UK", f"a,2025-01-02,{blank}"], 0, mapping)
    assert (result.rows_added, result.rows_filtered, result.rows_read) == (1, 1, 2)
    if blank in ("", "unknown"):
        erased = "null" if blank == "" else blank
        _ingest(
            settings, ["a,2025-01-02," + blank, "b,2025-01-02,"], 1, MAPPING.replace("deleted", f"deleted, {erased}")
        )
        assert ("a", "01-02", None) in _read(settings)


def test_contradicting_rows_of_one_source_go_to_quarantine(settings: Settings, batches: Callable) -> None:
    result = _ingest(settings, ["a,2025-01-01,UK", "a,2025-01-01,FR", "a,2025-01-01,UK", "b,2025-01-01,UK"], 0)
    assert result.reasons == {"country has several values for the customer at this time": 3}
    assert _read(settings) == [("b", "01-01", "UK")]
    correction = _ingest(settings, ["b,2025-01-01,FR"], 1)
    assert "the value that arrived last counts" in correction.summary()
    assert _read(settings) == [("b", "01-01", "UK"), ("b", "01-01", "FR")]
    assert _read(settings, NOW) == [("b", "01-01", "UK")]


def test_rows_of_several_columns_add_up(settings: Settings) -> None:
    mapping = MAPPING.replace("{country: country}", "{country: country, copy: {constant: x}, all: {constant: web}}")
    result = _ingest(settings, ["a,2025-01-01,UK", "b,2025-01-01,", ",2025-01-01,UK"], 0, mapping)
    assert (result.rows_read, result.rows_added, result.rows_from_columns, result.rows_quarantined) == (3, 5, 3, 1)
    counts = result.counts
    additional = counts.pop("rows from columns")
    assert counts.pop("rows read") + additional == sum(counts.values())


@st.composite
def _sources(draw: st.DrawFn) -> list[list[Statement]]:
    """Draw sources without contradictions inside; later ones may contradict, repeat or precede earlier ones."""
    keys = st.tuples(st.sampled_from("ab"), st.integers(1, 9))
    source = st.dictionaries(keys, st.sampled_from(["UK", "FR", None]), min_size=1, max_size=6)
    return [[(*key, value) for key, value in found.items()] for found in draw(st.lists(source, min_size=1, max_size=4))]


def _latest(rows: list[tuple[int, int, str | None]], as_of: int) -> str | None:
    """Return the value of the row of the latest day before ``as_of``, of those the one that arrived last."""
    found = [row for row in rows if row[0] < as_of]
    return max(found, key=lambda row: row[:2])[2] if found else None


def _oracle(sources: list[list[Statement]]) -> dict[str, list[tuple[int, int, str | None]]]:
    """Apply the rule row by row: a statement is stored where it differs from the one valid at its day."""
    stored: dict[str, list[tuple[int, int, str | None]]] = {}
    for arrival, source in enumerate(sources):
        for customer, day, value in sorted(source, key=lambda row: row[1]):
            rows = stored.setdefault(customer, [])
            if not any(row[0] <= day for row in rows) or _latest(rows, day + 1) != value:
                rows.append((day, arrival, value))
    return stored


def _arrive(
    folder: Path, number: int, rows: list[Statement], first: datetime = datetime(2025, 1, 1, tzinfo=UTC)
) -> None:
    """Store the rows of a source that change a value."""
    frame = pd.DataFrame(
        {
            "customer_id": [row[0] for row in rows],
            "attribute": "country",
            "value": pd.Series([row[2] for row in rows], dtype=object),
            "event_timestamp": pd.Series([FIRST + row[1] * DAY for row in rows]).dt.as_unit("us"),
        }
    )
    new, _ = find_changes(frame, sorted(folder.glob("*.parquet")), folder)
    stored = frame.iloc[new].assign(ingested_at=pd.Timestamp(NOW + number * DAY), batch_id=str(number))
    pq.write_table(
        pa.Table.from_pandas(stored, KINDS["attributes"].table, preserve_index=False), folder / f"{number}.parquet"
    )


def _read_rows(folder: Path) -> dict[str, list[tuple[int, int, str | None]]]:
    """Read day, arrival and value of each customer's rows."""
    found: dict[str, list[tuple[int, int, str | None]]] = {"a": [], "b": []}
    for file in folder.glob("*.parquet"):
        for row in pq.read_table(file).to_pylist():
            day = (row["event_timestamp"] - FIRST).days
            found[row["customer_id"]].append((day, (row["ingested_at"] - NOW).days, row["value"]))
    return found


@hypothesis.given(_sources())
@hypothesis.settings(max_examples=30, deadline=None)
def test_latest_value_at_any_time_and_arrival_equals_the_oracle(sources: list[list[Statement]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, source in enumerate(sources):
            _arrive(Path(folder), number, source)
        stored = _read_rows(Path(folder))
    for known in range(len(sources)):
        expected = _oracle(sources[: known + 1])
        for customer, rows in stored.items():
            arrived = [row for row in rows if row[1] <= known]
            for as_of in range(1, 11):
                assert _latest(arrived, as_of) == _latest(expected.get(customer, []), as_of)


@hypothesis.given(_sources())
@hypothesis.settings(max_examples=20, deadline=None)
def test_latest_value_of_growing_exports_equals_that_of_every_row(sources: list[list[Statement]]) -> None:
    """Where each export has the rows of the one before and later ones, no row that was left out is missing."""
    statements: list[Statement] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, source in enumerate(sources):  # each source continues the days of the one before
            statements += [(customer, day + 9 * number, value) for customer, day, value in source]
            _arrive(Path(folder), number, statements)
        stored = _read_rows(Path(folder))
    for customer, rows in stored.items():
        every = [(day, 0, value) for name, day, value in statements if name == customer]
        for as_of in range(1, 9 * len(sources) + 2):
            assert _latest(rows, as_of) == _latest(every, as_of)
