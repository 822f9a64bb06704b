"""Ingest: validation of transactions, attributes or events, one batch of new rows, quarantine of bad rows.

python -m flows.ingest --inspect export.csv --write export.yaml
python -m flows.ingest --source export.csv --mapping export.yaml
python -m flows.ingest --dataset cdnow
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows import configure, inspects_only

if __name__ == "__main__" and inspects_only(sys.argv[1:]):  # before the import of Prefect, which takes seconds
    from holdfast.inspection.command import run_inspection

    sys.exit(run_inspection(sys.argv[1:]))

from prefect import flow
from prefect.runtime import flow_run

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from flows._artifacts import publish_markdown, publish_table
from flows._cli import run_flow
from flows._tasks import affected_versions_task, retry_on, task
from holdfast.ingestion.batches import find_batch
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.datasets import locate_source, start_replay
from holdfast.ingestion.ingest_request import IngestRequest
from holdfast.ingestion.mapping_file import load_mapping
from holdfast.ingestion.results import IngestResult
from holdfast.reporting.artifact_tables import file_rows, ingest_rows, quarantine_markdown

if TYPE_CHECKING:
    from holdfast.ingestion.reading.source import Source
    from holdfast.ingestion.validation import ValidationResult


# A failed disk or network may work again; data that is rejected is rejected again.
@task(
    name="read",
    task_run_name="read {source.name}",
    retries=3,
    retry_delay_seconds=[1, 5, 15],
    retry_condition_fn=retry_on(OSError),
)
def read_task(source: Path, mapping: ColumnMapping) -> "Source":
    """Read the files of the source as tables of text."""
    from holdfast.ingestion.reading.reader import read_source

    return read_source(source, mapping)


@task(name="validate", task_run_name="validate {source.name}")
def validate_task(source: "Source", mapping: ColumnMapping, time: datetime) -> "ValidationResult":
    """Validate every row against the schema."""
    from holdfast.ingestion.validation import validate_source

    return validate_source(source, mapping, time)


@task(name="commit", task_run_name="commit {source.name}")
def commit_task(
    checked: "ValidationResult", source: "Source", mapping: ColumnMapping, request: IngestRequest
) -> IngestResult:
    """Store the new rows as one batch."""
    from holdfast.ingestion.batch_writer import commit_batch

    return commit_batch(Settings.from_environment(), checked, source, mapping, request)


def _run_name() -> str:
    parameters = flow_run.parameters
    return f"ingest {Path(parameters['source']).name if parameters.get('source') else parameters['dataset']}"


@flow(name="ingest", flow_run_name=_run_name, persist_result=False)
def ingest(
    source: str | None = None,
    mapping: str | None = None,
    dataset: str = "cdnow",
    ingested_at: datetime | None = None,
    replace: list[str] | None = None,
    force: bool = False,
) -> IngestResult:
    """Add the new rows of a source to the table of its kind: transactions, attributes or events.

    A first look, which proposes a mapping and stores nothing: python -m flows.ingest --inspect FILE_OR_FOLDER
    (--inspect --help lists its options).

    Args:
        source: File or folder with its subfolders on this machine; needs a mapping.
        mapping: YAML file that maps the columns.
        dataset: Known data set, read where there is no source.
        ingested_at: Time at which the rows become known, after that of every earlier batch; now when left out.
        replace: Id of a batch, or its beginning, that the source corrects: its rows are valid until this ingest. Repeat
            the option for several batches.
        force: Store rows although they restate stored rows, or replace a batch although rows are lost.

    Raises:
        IngestError: The source is rejected; nothing has changed.
    """
    settings = configure()
    path, mapping_path = locate_source(source, mapping, dataset)
    if source is None:
        start_replay(settings, dataset)
        settings = Settings.from_environment()  # again: a replay sets the clock
    rules = load_mapping(mapping_path)
    time = as_utc(ingested_at) if ingested_at else None
    tables = read_task(path, rules)
    if tables.file_reports:
        rows = file_rows(tables.file_reports)
        publish_table(rows, key="ingest-files", description=f"Files of {tables.name}")
    if not replace and (batch := find_batch(settings, tables.sha256, rules.sha256)):
        return IngestResult.from_stored(batch, tables.notes)
    checked = validate_task(tables, rules, time or datetime.now(UTC))
    request = IngestRequest(path, mapping_path, time, tuple(replace or ()), force)
    result = commit_task(checked, tables, rules, request)
    if result.replaces:
        result = affected_versions_task(settings, result)
    _publish(result, checked)
    return result


def _publish(result: IngestResult, checked: "ValidationResult") -> None:
    """Publish counts, reasons and positions of bad rows in the Prefect UI, without customer data."""
    description = f"{result.status}: {result.batch_id or '-'}"
    publish_table(ingest_rows(result), key="ingest-counts", description=description)
    description = "Bad rows: positions and reasons"
    publish_markdown(quarantine_markdown(checked.quarantine), key="ingest-quarantine", description=description)


if __name__ == "__main__":
    run_flow(ingest)
