"""Files of a source from columns of text, and their validation."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import Source, SourceFile
from holdfast.ingestion.validation import ValidationResult, validate_source

COLUMNS = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_source_file(columns: dict[str, list[str]], name: str = "source.csv") -> SourceFile:
    """Build a file as its reader gives it, with rows numbered from 1."""
    rows = pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()})
    return SourceFile(name, rows, np.arange(1, rows.num_rows + 1))


def validate_columns(rows: dict[str, list[str]], **mapping: Any) -> ValidationResult:
    """Validate one file of text columns; ``when`` is the same day in every row if left out."""
    size = len(next(iter(rows.values())))
    file = make_source_file({"when": ["2025-01-01"] * size} | rows)
    rules = ColumnMapping.model_validate({"columns": COLUMNS, "max_bad_share": 1, **mapping})
    return validate_source(Source("source", "0", [file]), rules, NOW)


def list_amounts(result: ValidationResult) -> list[tuple[str, float]]:
    """List customer and amount of each valid row."""
    return list(result.rows[["customer_id", "amount"]].itertuples(index=False, name=None))
