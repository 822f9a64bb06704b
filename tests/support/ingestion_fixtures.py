"""Fixtures of the ingestion tests: mapping, source, validation and stored tables."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.ingestion.batches import Batch, list_batches, transaction_files
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.results import IngestResult
from holdfast.ingestion.validation import ValidationResult, validate_source
from tests.support.ingest_pipeline import run_ingest

SIMPLE = """\
columns: {customer_id: id, event_timestamp: when, amount: amount, quantity: quantity}
max_bad_share: 1
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture
def simple(tmp_path: Path) -> Path:
    """Write a mapping for the columns id, when, amount, quantity that allows any share of bad rows."""
    path = tmp_path / "simple.yaml"
    path.write_text(SIMPLE)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    """Write a source with the columns id, when, amount, quantity from its lines."""

    def write(*lines: str, name: str = "source.csv", header: str = "id,when,amount,quantity") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., ValidationResult]:
    """Validate CSV text by a mapping given as keyword arguments."""

    def run(
        text: str | bytes, ingested_at: datetime = datetime(2026, 1, 1, tzinfo=UTC), **mapping: Any
    ) -> ValidationResult:
        path = tmp_path / "checked.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        columns = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
        rules = ColumnMapping.model_validate({"columns": columns, "max_bad_share": 1, **mapping})
        return validate_source(read_source(path, rules), rules, ingested_at)

    return run


@pytest.fixture
def tables(settings: Settings) -> Callable[[], tuple[pd.DataFrame, pd.DataFrame]]:
    """Read all stored transactions and quarantined rows."""

    def read() -> tuple[pd.DataFrame, pd.DataFrame]:
        folders = [settings.batches / batch.batch_id for batch in list_batches(settings)]
        return tuple(  # type: ignore[return-value]
            pd.concat([pd.read_parquet(folder / f"{name}.parquet") for folder in folders], ignore_index=True)
            for name in ("transactions", "quarantine")
        )

    return read


@pytest.fixture
def batches(settings: Settings) -> Callable[[], list[Batch]]:
    return lambda: list_batches(settings)


@pytest.fixture
def ingest(settings: Settings, tmp_path: Path) -> Callable[..., IngestResult]:
    """Ingest rows of id, when, amount, quantity a day after the batch before."""

    def run(*rows: str, name: str = "export.csv", **options: object) -> IngestResult:
        path, mapping = tmp_path / name, tmp_path / "simple.yaml"
        path.write_text("\n".join(["id,when,amount,quantity", *rows]) + "\n")
        mapping.write_text(SIMPLE)
        time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=len(list_batches(settings)))
        return run_ingest(settings, path, mapping, time, **options)  # type: ignore[arg-type]

    return run


def read_table(settings: Settings, known_at: datetime | None = None) -> Counter:
    """Count the rows of the table as known at a time."""
    files = transaction_files(settings, known_at)
    frames = [pd.read_parquet(path, columns=["customer_id", "event_timestamp", "amount", "quantity"]) for path in files]
    return Counter(row for frame in frames for row in frame.itertuples(index=False, name=None))
