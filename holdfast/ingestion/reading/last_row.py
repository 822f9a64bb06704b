"""Last row of text without a line end: it may have been cut."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import column_names
from holdfast.ingestion.reading.layout_rows import is_total
from holdfast.ingestion.reading.source import MalformedLines, RowIssue

_NUMBERS_AND_TIMES = ("event_timestamp", "amount", "quantity", "unit_price")
_FEWEST_VALUES = 100  # that show how long each value of a column is


def check_last_row(
    name: str, text: bytes, table: pa.Table, malformed: MalformedLines, mapping: ColumnMapping
) -> RowIssue | None:
    """Check the last row of text that does not end with a line end.

    A row with all of its fields may be cut only within the last one. Where the mapping does not read that column, or
    the value ends with a quote, or has the two decimals or the length that at least 100 values before it have, the
    transaction is whole. Else the row is set aside, and is not bad: ``12`` may be the begin of ``123``, and the row
    follows when the complete file is ingested.

    Args:
        name: Name of the file.
        text: UTF-8 text without a line end.
        table: String columns of all rows, the last row included if it has all fields.
        malformed: Lines with another number of fields.
        mapping: Mapping of the file.

    Returns:
        Issue of the last row; None if the row is whole.

    Raises:
        IngestError: The text ends within a quoted value or within a row.
    """
    total = table.num_rows + len(malformed.row_numbers)
    if total == 0:
        return None
    if total in malformed.row_numbers:
        _require_row_or_footer(name, malformed.texts[-1], total, table.num_columns, mapping)
        return None
    column = table.column_names[-1]
    if mapping.quoted and table.columns[-1][-1].as_py().endswith("\n"):  # the line end that the reader appended
        raise IngestError(
            f"{name} ends within a quoted value of row {total}, without a line end: {_CUT} "
            'If the character " is an ordinary one, set `quoted: false` in the mapping.'
        )
    if mapping.unterminated_row == "keep" or not _is_read(column, mapping):
        return None
    fields = [field for field, source in mapping.columns.by_field.items() if column in column_names(source)]
    if fields and fields[0] in _NUMBERS_AND_TIMES:
        if mapping.quoted and text.endswith(b'"'):
            return None
        if _has_form_of_others(table.column(table.num_columns - 1), fields[0], mapping.decimal):
            return None
    rows = np.zeros(table.num_rows, dtype=bool)
    rows[-1] = True
    return RowIssue(
        f"the last line has no line end, so {column!r} may be cut: add the line end, or set `unterminated_row: keep`",
        rows,
        counted=False,
    )


_CUT = "the file was cut or is still being written. Ingest it when it is complete."


def _has_form_of_others(column: pa.ChunkedArray, field: str, decimal: str) -> bool:
    """Check whether the last value is as long as all others, from the decimal separator on if it is a number."""
    if len(column) <= _FEWEST_VALUES:
        return False
    if field == "event_timestamp":
        lengths, least = pc.utf8_length(column), len("2025-01-31")
    else:
        lengths, least = (
            pc.utf8_length(pc.replace_substring_regex(column, rf"^[-+]?[0-9]+[{decimal}]([0-9]*)$", r"\1")),
            2,
        )
        if not pc.all(pc.match_substring_regex(column, rf"^[-+]?[0-9]+[{decimal}][0-9]*$")).as_py():
            return False
    return pc.count_distinct(lengths).as_py() == 1 and lengths[0].as_py() >= least


def _is_read(column: str, mapping: ColumnMapping) -> bool:
    return bool(mapping.join) or column in mapping.required_columns or mapping.exact_duplicates == "quarantine"


def _require_row_or_footer(name: str, line: str, row: int, columns: int, mapping: ColumnMapping) -> None:
    fields = len(line.split(mapping.delimiter if mapping.delimiter != "whitespace" else "\t"))
    if fields >= columns or is_total(line.split(mapping.delimiter)[0].strip(' "')):
        return
    raise IngestError(
        f"{name} ends within row {row}: its last line, {line.strip()[:100]!r}, has {fields} of {columns} fields and no "
        f"line end. {_CUT[0].upper()}{_CUT[1:]} If it is complete, end it with a line end."
    )
