"""Ingest of a cut file and then of the whole file: the table is that of the whole file alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from tests.support.ingest_pipeline import run_ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = "id,when,amount,quantity\n1,2025-01-01,5.25,1\n1,2025-01-01,5.25,1\n2,2025-01-02,6,12\n3,2025-01-03,77.5,123\n"


def _table(settings: Settings) -> list[tuple]:
    frames = [pd.read_parquet(path) for path in settings.batches.glob("*/transactions.parquet")]
    columns = ["customer_id", "event_timestamp", "amount", "quantity"]
    return sorted(pd.concat(frames)[columns].itertuples(index=False, name=None))


def test_table_after_a_cut_and_the_whole_file_is_that_of_the_whole_file(tmp_path: Path, simple: Path) -> None:
    content = TEXT.encode()
    source = tmp_path / "export.csv"
    source.write_bytes(content)
    alone = Settings(data=tmp_path / "alone")
    run_ingest(alone, source, simple, NOW)
    expected = _table(alone)
    assert len(expected) == 4
    stored = []
    for end in range(content.rindex(b"77.5"), len(content)):
        settings = Settings(data=tmp_path / str(end))
        source.write_bytes(content[:end])
        try:
            stored.append(run_ingest(settings, source, simple, NOW).rows_added)
        except IngestError:
            stored.append(None)
        source.write_bytes(content)
        run_ingest(settings, source, simple, NOW + timedelta(seconds=1))
        assert _table(settings) == expected, content[:end]
    assert set(stored) == {None, 3}
