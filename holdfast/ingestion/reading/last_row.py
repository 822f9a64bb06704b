"""Last row of text without a line end: it may have been cut."""

import numpy as np
import pyarrow as pa

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import column_names
from holdfast.ingestion.reading.layout_rows import is_total
from holdfast.ingestion.reading.source import MalformedLines, RowIssue

_NUMBERS_AND_TIMES = ("event_timestamp", "amount", "quantity", "unit_price")


def check_last_row(
    name: str, text: bytes, table: pa.Table, malformed: MalformedLines, mapping: ColumnMapping
) -> RowIssue | None:
    """Check the last row of text that does not end with a line end.

    A row with all of its fields may be cut only within the last one. Where the mapping does not read that column, or
    the value ends with a quote, the transaction is whole. Else the row is set aside: ``12`` may be the begin of
    ``123``, and the row follows when the complete file is ingested.

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
    if mapping.quoted and text.endswith(b'"') and fields and fields[0] in _NUMBERS_AND_TIMES:
        return None
    rows = np.zeros(table.num_rows, dtype=bool)
    rows[-1] = True
    return RowIssue(
        f"the last line has no line end, so {column!r} may be cut: add the line end, or set `unterminated_row: keep`",
        rows,
    )


_CUT = "the file was cut or is still being written. Ingest it when it is complete."


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
