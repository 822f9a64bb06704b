"""Steps of an ingest in one function; the Prefect flow runs the same steps as tasks."""

from datetime import UTC, datetime
from pathlib import Path

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.ingestion.batch_writer import commit_batch
from holdfast.ingestion.batches import find_batch
from holdfast.ingestion.column_mapping import load_mapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.results import IngestResult
from holdfast.ingestion.validation import validate_source


def run_ingest(settings: Settings, source: Path, mapping: Path, ingested_at: datetime | None = None) -> IngestResult:
    """Read, validate and store a source.

    Raises:
        IngestError: The source is rejected; nothing is stored.
    """
    rules = load_mapping(mapping)
    found = read_source(source, rules)
    batch = find_batch(settings, found.sha256, rules.sha256)
    if batch is not None:
        return IngestResult.from_stored(batch)
    time = as_utc(ingested_at) if ingested_at else None
    validated = validate_source(found, rules, time or datetime.now(UTC))
    return commit_batch(settings, validated, found.name, found.sha256, rules.sha256, time)
