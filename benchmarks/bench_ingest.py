"""Benchmark of the ingestion of a raw export, compared with a DuckDB copy of the file.

    python -m benchmarks.bench_ingest [--rows 1000000]

The export is generated (seeded) in the shape and with the faults of UCI Online Retail II: ids such as 13085.0,
25% of them missing, 2% returns, cancellations "C...", prices of 0, exact duplicates, latin-1 characters.
The reference is a lower bound: no types, checks, quarantine or idempotence. Both run by turns, as the load of the
machine changes; the processor time depends on it less. The report is the summary, the notes, and the description of
gaps and extent; its ratio is to the rest of the same ingest.
"""

import argparse
import json
import pkgutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from unittest.mock import patch

import duckdb
import numpy as np
import pandas as pd

from feature_repo.settings import Settings
from holdfast.ingestion.results import IngestResult
from tests.support.ingest_pipeline import run_ingest

MAPPING = """\
columns: {customer_id: Customer ID, event_timestamp: InvoiceDate, quantity: Quantity, unit_price: Price}
time_zone: Europe/London
cancellation: {column: Invoice, starts_with: C}
encoding: latin-1
"""
# Functions that describe rows.
_REPORT = (
    "holdfast.ingestion.batch_writer.describe_changes",
    "holdfast.ingestion.parsing.customer_ids._describe_changes",
    "holdfast.ingestion.parsing.parser.check_customer_ids",
    "holdfast.ingestion.parsing.timestamps._note_missing_zones",
    "holdfast.ingestion.results.IngestResult.summary",
    "holdfast.ingestion.row_rules.apply.find_absent_values",
)


class _Duration(NamedTuple):
    wall: float
    processor: float


def _write_export(path: Path, rows: int) -> None:
    """Write an export of so many rows before duplicates, as CSV in latin-1."""
    random = np.random.default_rng(7)
    cancelled = random.random(rows) < 0.015
    returned = cancelled | (random.random(rows) < 0.005)
    invoices = pd.Series(random.integers(489434, 581587, rows).astype(str))
    ids = pd.Series(random.integers(12346, 18288, rows).astype(float)).map("{:.1f}".format)
    quantity = random.geometric(0.1, rows) * np.where(returned, -1, 1)
    stock = random.integers(0, 5000, rows)
    seconds = random.integers(0, 738 * 24 * 60, rows) * 60
    table = pd.DataFrame(
        {
            "Invoice": invoices.where(~cancelled, "C" + invoices),
            "StockCode": pd.Series(stock + 10000).astype(str),
            "Description": pd.Series(stock).map('CAFÉ "{}" LIGHT HOLDER, 50° WHITE'.format),
            "Quantity": quantity,
            "InvoiceDate": (pd.Timestamp("2009-12-01 07:45") + pd.to_timedelta(seconds, unit="s")).astype(str),
            "Price": np.where(random.random(rows) < 0.006, 0.0, random.gamma(2, 2, rows).round(2) + 0.01).round(2),
            "Customer ID": ids.where(random.random(rows) >= 0.25, ""),
            "Country": "United Kingdom",
        }
    )
    repeated = random.random(rows) < 0.03
    table = table.iloc[np.where(repeated, np.maximum(np.arange(rows) - 1, 0), np.arange(rows))]
    table.to_csv(path, index=False, encoding="latin-1")


def _measure(work: Callable[[], object]) -> _Duration:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return _Duration(time.perf_counter() - wall, time.process_time() - processor)


@contextmanager
def _time_report() -> Iterator[list[float]]:
    """Yield a list to which each function of the report adds its seconds."""
    seconds: list[float] = []

    def add_timer(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            seconds.append(time.perf_counter() - start)
            return result

        return run

    with ExitStack() as stack:
        for target in _REPORT:
            stack.enter_context(patch(target, add_timer(pkgutil.resolve_name(target))))
        yield seconds


def main() -> None:
    """Run the benchmark and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export, mapping = folder / "export.csv", folder / "export.yaml"
        _write_export(export, arguments.rows)
        mapping.write_text(MAPPING)
        copy = f"COPY (SELECT * FROM read_csv('{export}', encoding='latin-1')) TO '{folder / 'copy.parquet'}'"
        results: list[IngestResult] = []

        def ingest(run: int) -> None:
            result = run_ingest(Settings(data=folder / f"data{run}"), export, mapping)
            result.summary()
            results.append(result)

        references, ingests, reports = [], [], []
        for run in range(arguments.repeats):
            references.append(_measure(lambda: duckdb.connect().execute(copy)))
            with _time_report() as seconds:
                ingests.append(_measure(partial(ingest, run)))
            reports.append(sum(seconds))
        again = _measure(partial(ingest, 0))
        # The same rows with another digest: every row is a duplicate.
        with export.open("a", encoding="latin-1") as file:
            file.write("489434,10000,NOT AN ID,1,2009-12-01 07:45:00,1.00,,United Kingdom\n")
        grown = _measure(partial(ingest, 0))
        size = export.stat().st_size / 1e6
    pairs = list(zip(ingests, references, strict=True))
    figures = {
        "rows": arguments.rows,
        "megabytes": round(size, 1),
        "ingest_seconds": round(min(ingest.wall for ingest in ingests), 2),
        "ingest_processor_seconds": round(min(ingest.processor for ingest in ingests), 2),
        "ingest_again_seconds": round(again.wall, 2),
        "ingest_grown_export_seconds": round(grown.wall, 2),
        "duckdb_copy_seconds": round(min(reference.wall for reference in references), 2),
        "duckdb_copy_processor_seconds": round(min(reference.processor for reference in references), 2),
        "ratio": round(median(ingest.wall / reference.wall for ingest, reference in pairs), 1),
        "processor_ratio": round(median(ingest.processor / reference.processor for ingest, reference in pairs), 1),
        "report_seconds": round(min(reports), 2),
        "report_ratio": round(
            median(report / (ingest.wall - report) for report, ingest in zip(reports, ingests, strict=True)), 3
        ),
        "added": results[0].rows_added,
        "quarantined": results[0].rows_quarantined,
        "reasons": results[0].reasons,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
