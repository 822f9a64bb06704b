"""Ingest: check a file or folder of transactions, add what is new as one batch, quarantine the rest.

python -m flows.ingest --source export.csv --mapping export.yaml
python -m flows.ingest --dataset cdnow
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run

from feature_repo.settings import load_settings
from feature_repo.timestamps import as_utc
from flows import configure
from flows._cli import run_flow
from flows._tasks import task
from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping, load_mapping
from holdfast.ingestion.datasets import locate_dataset, start_replay
from holdfast.ingestion.results import IngestResult

if TYPE_CHECKING:
    from holdfast.ingestion.readers import Source
    from holdfast.ingestion.validation import ValidationResult

SAMPLE_ROWS = 10


def _may_help(_task: Any, _run: Any, state: Any) -> bool:
    """Trying again helps when a disk or network failed, not when the data is refused."""
    return isinstance(state.result(raise_on_failure=False), OSError)


@task(
    name="read",
    task_run_name="read {source.name}",
    retries=3,
    retry_delay_seconds=[1, 5, 15],
    retry_condition_fn=_may_help,
)
def read(source: Path, mapping: ColumnMapping) -> "Source":
    """Read the source's files as tables of text."""
    from holdfast.ingestion.readers import read_source

    return read_source(source, mapping)


@task(name="validate", task_run_name="validate {source.name}")
def validate(source: "Source", mapping: ColumnMapping, moment: datetime) -> "ValidationResult":
    """Hold every row against the contract."""
    from holdfast.ingestion.validation import validate_source

    return validate_source(source, mapping, moment)


@task(name="commit", task_run_name="commit {source.name}")
def commit(
    checked: "ValidationResult", source: "Source", mapping: ColumnMapping, ingested_at: datetime | None
) -> IngestResult:
    """Store what is new as one batch."""
    from holdfast.ingestion.batch_writer import commit_batch as store

    return store(load_settings(), checked, source.name, source.sha256, mapping.sha256, ingested_at)


def _run_name() -> str:
    given = flow_run.parameters
    return f"ingest {Path(given['source']).name if given.get('source') else given['dataset']}"


@flow(name="ingest", flow_run_name=_run_name, persist_result=False)
def ingest(
    source: str | None = None,
    mapping: str | None = None,
    dataset: str = "cdnow",
    ingested_at: datetime | None = None,
) -> IngestResult:
    """Add the transactions of a source to the table.

    Args:
        source: file or folder (CSV, gzipped CSV, Parquet) on this machine; needs ``mapping``.
        mapping: YAML that says which column is what.
        dataset: a known data set, read when no source is given.
        ingested_at: when the rows become known; default now. Later than every batch stored before.

    Raises:
        IngestError: the source is refused; nothing has changed.
    """
    from holdfast.ingestion.batches import find_batch

    configure()
    path, mapping_path = _inputs(source, mapping, dataset)
    if source is None:
        start_replay(load_settings(), dataset)
    rules = load_mapping(mapping_path)
    moment = as_utc(ingested_at) if ingested_at else None
    found = read(path, rules)
    batch = find_batch(load_settings(), found.sha256, rules.sha256)
    if batch is not None:
        return IngestResult.from_stored(batch)
    checked = validate(found, rules, moment or datetime.now(UTC))
    result = commit(checked, found, rules, moment)
    report(result, checked)
    return result


def report(result: IngestResult, checked: "ValidationResult") -> None:
    """Leave the counts, the reasons and where to find some bad rows (no customer data) beside the flow run."""
    rows = [{"what": what, "rows": count} for what, count in result.counts.items()]
    rows += [{"what": f"bad: {reason}", "rows": count} for reason, count in result.reasons.items()]
    create_table_artifact(table=rows, key="ingest-counts", description=f"{result.status}: {result.batch_id or '-'}")
    sample = checked.quarantine.head(SAMPLE_ROWS)
    rows_and_reasons = zip(sample["source_file"], sample["row_number"], sample["reasons"], strict=True)
    lines = [f"| {file} | {row} | {'; '.join(reasons)} |" for file, row, reasons in rows_and_reasons]
    table = "\n".join(["| file | row | reasons |", "|---|---|---|", *lines])
    create_markdown_artifact(
        markdown=f"The first {len(sample)} of {len(checked.quarantine):,} bad rows.\n\n{table}",
        key="ingest-quarantine",
        description="Bad rows: where they are and what is wrong with each",
    )


def _inputs(source: str | None, mapping: str | None, dataset: str) -> tuple[Path, Path]:
    if source is None and mapping is None:
        return locate_dataset(dataset)
    if source is None or mapping is None:
        raise IngestError("A source needs a mapping, and a mapping a source: give both --source and --mapping.")
    return Path(source).expanduser(), Path(mapping).expanduser()


if __name__ == "__main__":
    run_flow(ingest, show=lambda result: typer.echo(result.summary()))
