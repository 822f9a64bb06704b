"""Which rows of a source keep the contract, and every reason why the others do not."""

import json
import warnings
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing import ParsedRows, RowIssue, parse_rows
from holdfast.ingestion.readers import Source, SourceFile
from holdfast.ingestion.schemas import Transactions

WRONG_FIELD_COUNT = "wrong number of fields"
STRAY_QUOTE = "a stray quote made one value of several rows"
DUPLICATE = "exact duplicate of an earlier row"
_NULL = " is null"


@dataclass(frozen=True)
class ValidationResult:
    """A source split into rows of the two tables, before ``ingested_at`` and ``batch_id`` are final.

    ``transactions`` has customer_id, event_timestamp, amount, quantity; ``quarantine`` has source_file,
    row_number, reasons, raw. Both keep the order of the source. Every row read is in exactly one of them.
    """

    transactions: pd.DataFrame
    quarantine: pd.DataFrame

    @property
    def rows_read(self) -> int:
        return len(self.transactions) + len(self.quarantine)

    @property
    def reasons(self) -> dict[str, int]:
        """How many rows have each reason, most frequent first."""
        counts = Counter(reason for reasons in self.quarantine["reasons"] for reason in reasons)
        return dict(counts.most_common())


def validate_source(source: Source, mapping: ColumnMapping, moment: datetime) -> ValidationResult:
    """Parse a source and hold every row against the :class:`Transactions` contract.

    Args:
        moment: when the rows are ingested; later events than a day after it are refused.

    Raises:
        IngestError: a mapped column is unreadable throughout, or more than ``max_bad_share`` of the rows are bad.
    """
    parsed = [parse_rows(part, mapping) for part in source.files]
    _refuse_unreadable(source, mapping, parsed)
    duplicates = _exact_duplicates(source, mapping)
    good, bad, broken = [], [], 0
    for part, typed, repeated in zip(source.files, parsed, duplicates, strict=True):
        problems = [*typed.problems, *_breaches(typed, moment)]
        if part.stray_quotes is not None and part.stray_quotes.any():
            problems.append(RowIssue(STRAY_QUOTE, part.stray_quotes))
        is_bad = _any(problems, part.rows.num_rows)
        broken += int(is_bad.sum()) + len(part.malformed.row_numbers)
        if repeated.any():
            problems.append(RowIssue(DUPLICATE, repeated))
            is_bad = is_bad | repeated
        good.append(typed.frame[~is_bad])
        bad.append(_quarantined(part, problems, is_bad))
    checked = ValidationResult(pd.concat(good, ignore_index=True), pd.concat(bad, ignore_index=True))
    _refuse_bad_share(source, mapping, checked, broken)
    return checked


def _breaches(parsed: ParsedRows, moment: datetime) -> list[RowIssue]:
    """Reasons from the contract, for all rows at once (Pandera's lazy validation)."""
    frame = parsed.frame.assign(
        ingested_at=pd.Series(moment, index=parsed.frame.index, dtype="datetime64[us, UTC]"), batch_id="pending"
    )
    try:
        with warnings.catch_warnings():  # Pandera's own, from joining the failure cases of several checks
            warnings.simplefilter("ignore", FutureWarning)
            Transactions.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        found = [_breach(error, len(frame)) for error in errors.schema_errors]
    else:
        return []
    # A null has its reason from parsing: missing or not readable. Only one without is named here.
    known = _any(parsed.problems, len(frame))
    problems = [
        RowIssue(problem.reason, problem.rows & ~known) if problem.reason.endswith(_NULL) else problem
        for problem in found
    ]
    return [problem for problem in problems if problem.rows.any()]


def _breach(error: Any, size: int) -> RowIssue:
    rows = np.zeros(size, dtype=bool)
    if error.check == "not_nullable":
        rows[error.failure_cases["index"].to_numpy(dtype=np.int64)] = True
        return RowIssue(f"{error.schema.name}{_NULL}", rows)
    if not isinstance(error.check_output, pd.Series):  # not about rows: a column, a type or a check is wrong
        raise TypeError(f"The parsed table does not fit the Transactions contract: {error}") from error
    failed = error.check_output[~error.check_output.astype(bool)]
    rows[failed.index.to_numpy(dtype=np.int64)] = True
    return RowIssue(str(error.check.error), rows)


def _any(problems: list[RowIssue], size: int) -> np.ndarray:
    result = np.zeros(size, dtype=bool)
    for problem in problems:
        result |= problem.rows
    return result


def _exact_duplicates(source: Source, mapping: ColumnMapping) -> list[np.ndarray]:
    """Per part, which rows equal an earlier row of the source in every column, if the mapping refuses these."""
    sizes = [part.rows.num_rows for part in source.files]
    if mapping.exact_duplicates == "keep":
        return [np.zeros(size, dtype=bool) for size in sizes]
    rows = pd.concat([part.rows.to_pandas().set_axis(_names(part), axis=1) for part in source.files])
    return np.split(rows.duplicated().to_numpy(), np.cumsum(sizes)[:-1])


def _quarantined(part: SourceFile, problems: list[RowIssue], is_bad: np.ndarray) -> pd.DataFrame:
    """The bad rows of a part as found: a JSON object per row, a JSON string per line that is no row."""
    positions = np.flatnonzero(is_bad)
    reasons: list[list[str]] = [[] for _ in positions]
    for problem in problems:
        for position in np.flatnonzero(problem.rows[positions]):
            reasons[position].append(problem.reason)
    names = _names(part)
    values = zip(*(column.to_pylist() for column in part.rows.take(positions).columns), strict=True)
    raw = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in values]
    raw += [json.dumps(text, ensure_ascii=False) for text in part.malformed.texts]
    frame = pd.DataFrame(
        {
            "source_file": part.name,
            "row_number": np.concatenate([part.row_numbers[positions], part.malformed.row_numbers]),
            "reasons": pd.Series(reasons + [[WRONG_FIELD_COUNT] for _ in part.malformed.texts], dtype=object),
            "raw": pd.Series(raw, dtype=object),
        }
    )
    return frame.sort_values("row_number", ignore_index=True)


def _names(part: SourceFile) -> list[str]:
    """Column names, each once: a repeated one gets its position, so that no value is lost."""
    seen: set[str] = set()
    names = []
    for position, name in enumerate(part.rows.column_names, 1):
        names.append(f"{name} ({position})" if name in seen else name)
        seen.add(name)
    return names


def _refuse_unreadable(source: Source, mapping: ColumnMapping, parsed: list[ParsedRows]) -> None:
    if not any(part.rows.num_rows for part in source.files):
        return
    wrong = set.intersection(*(set(typed.unreadable) for typed in parsed))
    hints = {
        "event_timestamp": f"the format {mapping.timestamp_format!r}" if mapping.timestamp_format else "ISO 8601",
        "customer_id": "a non-empty id",
    }
    for field, column in mapping.columns.by_field.items():
        if field in wrong:
            values = [text for part in source.files for text in part.rows.column(column)[:3].to_pylist()][:3]
            raise IngestError(
                f"{source.name}: not one value of column {column!r} can be read as {field} "
                f"(expected {hints.get(field, 'a number')}; it starts with {', '.join(map(repr, values))}). "
                f"Correct `columns.{field}`"
                + {"event_timestamp": " or `timestamp_format`", "customer_id": ""}.get(field, " or `decimal`")
                + " in the mapping."
            )


def _refuse_bad_share(source: Source, mapping: ColumnMapping, checked: ValidationResult, broken: int) -> None:
    if broken > mapping.max_bad_share * checked.rows_read:
        counts = "".join(f"\n  {count:>9,}  {reason}" for reason, count in checked.reasons.items())
        raise IngestError(
            f"{source.name}: {broken:,} of {checked.rows_read:,} rows are bad, more than max_bad_share "
            f"{mapping.max_bad_share:g} allows. Correct the mapping or the source, or raise `max_bad_share` in the "
            f"mapping. Rows per reason:{counts}"
        )
