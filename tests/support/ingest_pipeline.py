"""Steps of an ingest in one function; the Prefect flow runs the same steps as tasks."""

from datetime import UTC, datetime
from pathlib import Path

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.core.errors import IngestError
from holdfast.ingestion.batch_writer import commit_batch
from holdfast.ingestion.batches import find_batch
from holdfast.ingestion.ingest_request import IngestRequest
from holdfast.ingestion.mapping_file import load_mapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.results import IngestResult
from holdfast.ingestion.validation import validate_source


def run_ingest(
    settings: Settings,
    source: Path,
    mapping: Path,
    ingested_at: datetime | None = None,
    replace: tuple[str, ...] = (),
    force: bool = False,
) -> IngestResult:
    """Read, validate and store a source.

    Raises:
        IngestError: The source is rejected; nothing is stored.
    """
    rules = load_mapping(mapping)
    found = read_source(source, rules)
    batch = find_batch(settings, found.sha256, rules.sha256)
    if batch is not None and not replace:
        return IngestResult.from_stored(batch, found.notes)
    time = as_utc(ingested_at) if ingested_at else None
    validated = validate_source(found, rules, time or datetime.now(UTC))
    return commit_batch(settings, validated, found, rules, IngestRequest(source, mapping, time, replace, force))


def run_case(data: Path, source: Path, mapping: Path, at: str | None) -> tuple[str, str, int]:
    """Ingest one source of a case.

    Args:
        data: Data folder.
        source: File or folder.
        mapping: Mapping file.
        at: Time at which the rows become known, ISO 8601; None for now.

    Returns:
        Outcome (``accepted`` or ``refused``), summary or error message, and the number of added rows.
    """
    settings = Settings(data=data)
    try:
        result = run_ingest(settings, source, mapping, datetime.fromisoformat(at) if at else None)
    except IngestError as error:
        return "refused", str(error), 0
    return "accepted", result.summary(), result.rows_added
