"""Properties of ingest: every row is either valid or quarantined, unchanged, and never duplicated."""

import csv
import io
import json
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.settings import Settings
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.validation import validate_source
from tests.support.ingest_pipeline import run_ingest
from tests.support.ingestion_fixtures import SIMPLE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_FIELDS = ["customer_id", "event_timestamp", "amount", "quantity"]
HEADER = ["id", "when", "amount", "quantity"]
GOOD = ["1", "2025-01-01", "5.0", "1.0"]  # one readable row, so that no column is refused as a whole

# No carriage return: csv.writer would leave it unquoted, and unquoted it ends a row.
junk = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=6)
words = junk.filter(lambda text: not any(character.isnumeric() for character in text))
row = st.tuples(
    st.sampled_from(["1", "2", " 2", "2.0", "", "nan"]) | junk,
    st.sampled_from(["2025-01-01", "2025-01-01T10:00:00Z", "2027-01-01", "", "soon"]) | junk,
    st.sampled_from(["5", "-5", "0", "1e999", "", "five"]) | words,
    st.sampled_from(["1", "2", "-1", "0", ""]) | words,
).map(list)
ragged = st.lists(junk, min_size=5, max_size=7) | st.lists(st.just("x"), min_size=1, max_size=3)
dirty_table = st.lists(row | row | ragged, max_size=12).map(lambda rows: [GOOD, *rows])


def _write(path: Path, rows: list[list[str]], quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows([HEADER, *rows])
    path.write_bytes(text.getvalue().encode())


@given(dirty_table, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@settings(max_examples=100, deadline=None)
def test_valid_and_quarantined_rows_reproduce_the_source(rows: list[list[str]], quoting: Literal[0, 1]) -> None:
    rules = ColumnMapping.model_validate({"columns": dict(zip(_FIELDS, HEADER, strict=True)), "max_bad_share": 1})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dirty.csv"
        _write(path, rows, quoting)
        source = read_source(path, rules)
    result = validate_source(source, rules, NOW)
    assert result.rows_read == len(rows)
    held = dict(zip(result.quarantine["row_number"], result.quarantine["raw"], strict=True))
    assert len(held) == len(result.quarantine)
    for number, raw in held.items():
        content = json.loads(raw)
        if len(rows[number - 1]) == len(HEADER):
            assert list(content.items()) == list(zip(HEADER, rows[number - 1], strict=True))
        else:
            assert next(csv.reader(io.StringIO(content, newline=""))) == rows[number - 1]
    valid = [row for number, row in enumerate(rows, 1) if number not in held]
    assert result.rows["amount"].tolist() == [round(float(row[2]), 6) for row in valid]
    assert result.rows["quantity"].tolist() == [float(row[3]) for row in valid]
    assert result.rows["customer_id"].tolist() == [row[0].strip().removesuffix(".0") for row in valid]
    assert all(result.quarantine["reasons"].map(len) > 0)


def _stored(data: Settings) -> tuple[Counter, Counter]:
    good = pd.concat(pd.read_parquet(path) for path in data.batches.glob("*/transactions.parquet"))
    bad = pd.concat(pd.read_parquet(path) for path in data.batches.glob("*/quarantine.parquet"))
    return Counter(good[_FIELDS].itertuples(index=False, name=None)), Counter(bad["raw"])


@given(st.lists(dirty_table, min_size=2, max_size=3))
@settings(max_examples=12, deadline=None)
def test_overlapping_sources_give_the_union_of_their_rows(tables: list[list[list[str]]]) -> None:
    """Number equal rows, so that the n-th of equal rows is the same row in every source."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mapping, path = folder / "simple.yaml", folder / "dirty.csv"
        mapping.write_text(SIMPLE)
        together = Settings(data=folder / "together")
        good: Counter = Counter()
        bad: Counter = Counter()
        for number, rows in enumerate(tables):
            _write(path, rows)
            alone = Settings(data=folder / f"alone{number}")
            run_ingest(alone, path, mapping, NOW)
            result = run_ingest(together, path, mapping, NOW + timedelta(seconds=number))
            assert sum(list(result.counts.values())[1:]) == result.rows_read == len(rows)
            before = good.total() + bad.total()
            more_good, more_bad = _stored(alone)
            good, bad = good | more_good, bad | more_bad
            assert result.rows_added + result.rows_quarantined == good.total() + bad.total() - before
        assert _stored(together) == (good, bad)
