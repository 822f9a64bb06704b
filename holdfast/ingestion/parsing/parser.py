"""Parsing of the mapped columns of a source; an unreadable value becomes null, with a reason."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from holdfast.core.threads import map_in_threads
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import Parser, RowIssue, read_text_column
from holdfast.ingestion.parsing.composed_columns import parse_field
from holdfast.ingestion.parsing.currencies import require_one_currency_column
from holdfast.ingestion.parsing.currency_columns import find_currency_columns
from holdfast.ingestion.parsing.customer_id_checks import check_customer_ids
from holdfast.ingestion.parsing.customer_ids import parse_customer_ids
from holdfast.ingestion.parsing.isolated_times import find_isolated_times
from holdfast.ingestion.parsing.kind_rows import build_rows
from holdfast.ingestion.parsing.numbers import parse_numbers
from holdfast.ingestion.parsing.texts import parse_texts
from holdfast.ingestion.parsing.timestamps import parse_timestamps
from holdfast.ingestion.reading.source import SourceFile

_PARSERS: dict[str, Parser] = {
    "customer_id": parse_customer_ids,
    "event_timestamp": parse_timestamps,
    "amount": parse_numbers,
    "quantity": parse_numbers,
    "unit_price": parse_numbers,
    "source": parse_texts,
    "attribute": parse_texts,
    "kind": parse_texts,
}
_OPTIONAL = frozenset({"source", "value"})  # a blank is no error


@dataclass(frozen=True)
class ParsedRows:
    """Rows of one file.

    Attributes:
        frame: Columns of the kind, in their types. The index is the position of the file's row, ascending: attributes
            have as many rows per row of the file as it states values.
        issues: Reasons why values are null.
        unreadable_fields: Fields of the mapping without a single readable value.
    """

    frame: pd.DataFrame
    issues: list[RowIssue]
    unreadable_fields: list[str]


@dataclass(frozen=True)
class ParsedSource:
    """Typed columns of all files of a source.

    Attributes:
        files: Rows of each file, in the order of the files.
        notes: Sentences for the person who ingests the source.
    """

    files: list[ParsedRows]
    notes: list[str]


def parse_files(files: list[SourceFile], mapping: ColumnMapping, ingested_at: datetime | None = None) -> ParsedSource:
    """Convert the mapped columns of the files of a source to their types.

    Files with the same rules and types are parsed together, because the notation of a column can be recognized only
    from all of its values.

    Args:
        files: Files of a source.
        mapping: Column mapping.
        ingested_at: Time of the ingest (UTC); None where later times are no error.

    Returns:
        Typed columns of each file, and the reasons for null values.

    Raises:
        IngestError: The values of a column contradict the mapping.
    """
    groups: dict[tuple[str, bool, tuple[object, ...]], list[int]] = {}
    for position, file in enumerate(files):
        rules = mapping.for_file(file.name)
        key = (rules.sha256, file.of_refunds, tuple(file.types.get(column) for column in rules.required_columns))
        groups.setdefault(key, []).append(position)
    parsed: dict[int, ParsedRows] = {}
    notes: list[str] = []
    for positions in groups.values():
        rules = mapping.for_file(files[positions[0]].name)
        group = _parse_group(
            [files[i] for i in positions], rules.for_refunds if files[positions[0]].of_refunds else rules
        )
        parsed.update(zip(positions, group.files, strict=True))
        notes += group.notes
    rows = [parsed[i] for i in range(len(files))]
    if mapping.kind != "attributes":  # whose times may be long ago or to come
        isolated = find_isolated_times([of_file.frame["event_timestamp"] for of_file in rows], ingested_at)
        for of_file, issues in zip(rows, isolated.issues, strict=True):
            of_file.issues.extend(issues)
        notes += isolated.notes
    return ParsedSource(rows, list(dict.fromkeys(notes)))


def _parse_group(files: list[SourceFile], mapping: ColumnMapping) -> ParsedSource:
    issues: list[RowIssue] = []
    notes: list[str] = []
    values: dict[str, pd.Series] = {}
    parsers = _PARSERS | ({"value": parse_numbers} if mapping.kind == "events" else {})
    sources = {field: source for field, source in mapping.columns.by_field.items() if field in parsers}
    columns = map_in_threads(lambda field: parse_field(files, field, sources[field], mapping, parsers[field]), sources)
    for field, found in zip(sources, columns, strict=True):
        issues += [issue for issue in found.issues if field not in _OPTIONAL or issue.reason != f"{field} is missing"]
        values[field] = found.values
        notes += found.notes
    found_ids = check_customer_ids(values["customer_id"], files, mapping)
    issues += found_ids.issues
    notes += found_ids.notes
    if mapping.currency is None and mapping.kind == "transactions":
        _require_one_currency(files, mapping)
    built = build_rows(files, values, mapping)
    issues += built.issues
    notes += built.notes
    ends = np.cumsum([file.rows.num_rows for file in files])
    parsed = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        of_file = [replace(issue, rows=issue.rows[start:end]) for issue in issues]
        of_file = [issue for issue in of_file if issue.rows.any()]
        parsed.append(
            ParsedRows(
                frame=_select_file(built.frame, start, end),
                issues=of_file,
                unreadable_fields=[
                    field
                    for field in values
                    if values[field].iloc[start:end].isna().all()
                    and (field not in _OPTIONAL or any(issue.reason.startswith(field) for issue in of_file))
                ],
            )
        )
    return ParsedSource(parsed, notes)


def _select_file(frame: pd.DataFrame, start: int, end: int) -> pd.DataFrame:
    """Select the rows of one file, with positions in it as index."""
    first, last = np.searchsorted(frame.index, [start, end])
    return frame.iloc[first:last].set_axis(frame.index[first:last] - start)


def _require_one_currency(files: list[SourceFile], mapping: ColumnMapping) -> None:
    """Refuse files with several currencies in the mapped column of currencies, or in a column with such a name."""
    mapped = mapping.columns.currency
    for name in find_currency_columns(files, mapped):
        with_column = [file for file in files if file.rows.column_names.count(name) == 1]
        if not with_column:  # the name occurs twice in each file
            continue
        require_one_currency_column(read_text_column(with_column, name), is_mapped=name == mapped)
