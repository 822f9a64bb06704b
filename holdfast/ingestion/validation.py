"""Validation of a source: valid rows, and quarantined rows with every reason."""

import warnings
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandera.errors import SchemaErrors
from pandera.pandas import DataFrameModel

from holdfast.core.errors import IngestError
from holdfast.ingestion.arrow_columns import as_text
from holdfast.ingestion.attribute_changes import add_contradictions
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import column_names
from holdfast.ingestion.parsing.columns import RowIssue
from holdfast.ingestion.parsing.parser import ParsedRows, parse_files
from holdfast.ingestion.quarantine import build_quarantine, list_unique_names
from holdfast.ingestion.reading.source import Source, SourceFile
from holdfast.ingestion.repeated_rows import require_distinct_rows
from holdfast.ingestion.restated_files import require_no_restated_files
from holdfast.ingestion.row_rules.apply import apply_row_rules
from holdfast.ingestion.schemas import TABLE_SCHEMAS

_DUPLICATE = "exact duplicate of an earlier row"
_NULL = " is null"
_PENDING = "pending"
_OF_REFUNDS = "\0of refunds"  # a name that no column has


@dataclass(frozen=True)
class ValidationResult:
    """Source split into valid and quarantined rows, both in the order of the source.

    The columns ``ingested_at`` and ``batch_id`` are added when the batch is stored.

    Attributes:
        rows: Valid rows, with the fields of the mapping's kind as columns.
        quarantine: Columns source_file, row_number, reasons, raw.
        notes: Sentences for the person who ingests the source.
        rows_filtered: Rows that the mapping leaves out.
        rows_from_refunds: Returns from a refund column, in addition to the rows of the source.
        rows_from_columns: Attribute values from further columns of a row, in addition to the rows of the source.
    """

    rows: pd.DataFrame
    quarantine: pd.DataFrame
    notes: tuple[str, ...] = ()
    rows_filtered: int = 0
    rows_from_refunds: int = 0
    rows_from_columns: int = 0

    @property
    def rows_read(self) -> int:
        """Return the number of rows of the source."""
        rows = len(self.rows) + len(self.quarantine) + self.rows_filtered
        return rows - self.rows_from_refunds - self.rows_from_columns

    @property
    def reasons(self) -> dict[str, int]:
        """Return the number of rows per reason, most frequent first."""
        reasons = pc.list_flatten(pa.array(self.quarantine["reasons"]))
        counts = {count["values"]: count["counts"] for count in pc.value_counts(reasons).to_pylist()}
        return dict(sorted(counts.items(), key=lambda item: -item[1]))


def validate_source(source: Source, mapping: ColumnMapping, ingested_at: datetime) -> ValidationResult:
    """Parse a source and validate every row by the schema of the mapping's kind.

    Args:
        source: Source as read from its files.
        mapping: Column mapping.
        ingested_at: Time of the ingest (UTC); events more than a day after it are quarantined.

    Returns:
        Valid and quarantined rows.

    Raises:
        IngestError: No value of a mapped column is readable, two files hold the same sales, or more than
            ``max_bad_share`` of the rows are bad.
    """
    selected = apply_row_rules(source, mapping)
    source = selected.source
    parsed = parse_files(source.files, mapping, ingested_at)
    _require_readable(source, mapping, parsed.files)
    duplicates = _exact_duplicates(source, mapping)
    schema = TABLE_SCHEMAS[mapping.kind]
    sizes = [file.rows.num_rows for file in source.files]
    found = [
        [*rows.issues, *_validate_schema(rows, size, schema, ingested_at), *file.issues]
        for file, rows, size in zip(source.files, parsed.files, sizes, strict=True)
    ]
    if mapping.kind == "attributes":
        add_contradictions([rows.frame for rows in parsed.files], found, sizes)
    valid, quarantined, bad_rows, unstated = [], [], 0, 0
    for file, rows, duplicate, issues in zip(source.files, parsed.files, duplicates, found, strict=True):
        is_bad = _any_issue(issues, file.rows.num_rows)
        counted = _any_issue([issue for issue in issues if issue.counted], file.rows.num_rows)
        set_aside = _any_issue([issue for issue in issues if not issue.counted], file.rows.num_rows)
        bad_rows += int((counted & ~set_aside).sum()) + len(file.malformed.row_numbers)
        if duplicate.any():
            issues.append(RowIssue(_DUPLICATE, duplicate))
            is_bad = is_bad | duplicate
        valid.append(rows.frame[~is_bad[rows.frame.index]])
        unstated += int((~is_bad).sum()) - valid[-1].index.nunique()
        quarantined.append(build_quarantine(file, issues, is_bad))
    require_distinct_rows(source.files, valid, mapping)
    require_no_restated_files(source.files, valid, mapping)
    valid_rows = pd.concat(valid, ignore_index=True)
    result = ValidationResult(
        rows=valid_rows,
        quarantine=pd.concat(quarantined, ignore_index=True),
        notes=(*source.notes, *parsed.notes),
        rows_filtered=selected.rows_filtered + unstated,
        rows_from_refunds=selected.rows_from_refunds,
        rows_from_columns=len(valid_rows) - sum(frame.index.nunique() for frame in valid),
    )
    _require_good_share(source, mapping, result, bad_rows)
    return result


def _validate_schema(
    parsed: ParsedRows, size: int, schema: type[DataFrameModel], ingested_at: datetime
) -> list[RowIssue]:
    """Validate all rows at once by the schema (Pandera's lazy validation); ``size`` is the rows of the file."""
    positions = parsed.frame.index.to_numpy()
    frame = parsed.frame.reset_index(drop=True)
    # Parsing gives the reason of a null value: missing or not readable. Nulls without such a reason are reported here.
    known = _any_issue(parsed.issues, size)
    ids = frame["customer_id"]
    frame = frame.assign(
        # Pandera would describe each null, which takes longer than all checks.
        customer_id=ids.mask(known[positions] & ids.isna().to_numpy(), _PENDING),
        ingested_at=pd.Series(ingested_at, index=frame.index, dtype="datetime64[us, UTC]"),
        batch_id=as_text(pa.repeat(_PENDING, len(frame))),
    )
    try:
        with warnings.catch_warnings():  # raised by Pandera when it concatenates the failure cases of several checks
            warnings.simplefilter("ignore", FutureWarning)
            schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        found = [_schema_issue(error, positions, size) for error in errors.schema_errors]
    else:
        return []
    issues = [replace(issue, rows=issue.rows & ~known) if issue.reason.endswith(_NULL) else issue for issue in found]
    return [issue for issue in issues if issue.rows.any()]


def _schema_issue(error: Any, positions: np.ndarray, size: int) -> RowIssue:
    rows = np.zeros(size, dtype=bool)
    if error.check == "not_nullable":
        rows[positions[error.failure_cases["index"].to_numpy(dtype=np.int64)]] = True
        return RowIssue(f"{error.schema.name}{_NULL}", rows)
    if not isinstance(error.check_output, pd.Series):  # an error of a column, a type or a check, not of rows
        raise TypeError(f"The parsed table does not fit its schema: {error}") from error
    failed = error.check_output[~error.check_output.astype(bool)]
    rows[positions[failed.index.to_numpy(dtype=np.int64)]] = True
    return RowIssue(str(error.check.error), rows)


def _any_issue(issues: list[RowIssue], size: int) -> np.ndarray:
    result = np.zeros(size, dtype=bool)
    for issue in issues:
        result |= issue.rows
    return result


def _exact_duplicates(source: Source, mapping: ColumnMapping) -> list[np.ndarray]:
    """Mark, per file, the rows that equal an earlier row in every column, if the mapping quarantines duplicates."""
    sizes = [file.rows.num_rows for file in source.files]
    if mapping.exact_duplicates == "keep":
        return [np.zeros(size, dtype=bool) for size in sizes]
    rows = pd.concat(
        [
            file.rows.to_pandas().set_axis(list_unique_names(file), axis=1).assign(**{_OF_REFUNDS: file.of_refunds})
            for file in source.files
        ]
    )
    return np.split(rows.duplicated().to_numpy(), np.cumsum(sizes)[:-1])


def _require_readable(source: Source, mapping: ColumnMapping, parsed: list[ParsedRows]) -> None:
    for of_refunds in (False, True):
        pairs = [pair for pair in zip(source.files, parsed, strict=True) if pair[0].of_refunds == of_refunds]
        if any(file.rows.num_rows for file, _ in pairs):
            _require_readable_fields(source.name, mapping, [file for file, _ in pairs], [rows for _, rows in pairs])


def _require_readable_fields(
    source: str, mapping: ColumnMapping, files: list[SourceFile], parsed: list[ParsedRows]
) -> None:
    unreadable = set.intersection(*(set(rows.unreadable_fields) for rows in parsed))
    file = next(file for file in files if file.rows.num_rows)
    rules = mapping.for_file(file.name)
    columns = (rules.for_refunds if file.of_refunds else rules).columns.by_field
    for field in (field for field in columns if field in unreadable):
        names = column_names(columns[field])
        key = f"refund.{field}" if file.of_refunds else f"columns.{field}"
        values = [
            " ".join(row) for row in zip(*(file.rows.column(name)[:3].to_pylist() for name in names), strict=True)
        ]
        expected = {
            "event_timestamp": f"the format {rules.timestamp_format!r}" if rules.timestamp_format else "ISO 8601",
            "customer_id": "a non-empty id",
            "kind": "a non-empty text",
            "attribute": "a non-empty text",
        }.get(field, "a number")
        other_key = {"event_timestamp": " or `timestamp_format`"}.get(
            field, " or `decimal`" if expected == "a number" else ""
        )
        raise IngestError(
            f"{source}: no value of column {' and '.join(map(repr, names))} can be read as {field} "
            f"(expected {expected}; it starts with {', '.join(map(repr, values))}). "
            f"Correct `{key}`{other_key} in the mapping."
        )


def _require_good_share(source: Source, mapping: ColumnMapping, result: ValidationResult, bad_rows: int) -> None:
    rows = len(result.rows) - result.rows_from_columns + len(result.quarantine)
    if bad_rows > mapping.max_bad_share * rows:
        counts = "".join(f"\n  {count:>9,}  {reason}" for reason, count in result.reasons.items())
        raise IngestError(
            f"{source.name}: {bad_rows:,} of {rows:,} rows are bad, more than max_bad_share "
            f"{mapping.max_bad_share:g} allows. Correct the mapping or the source, or raise `max_bad_share` in the "
            f"mapping. Rows per reason:{counts}" + "".join(f"\n  {note}" for note in result.notes)
        )
