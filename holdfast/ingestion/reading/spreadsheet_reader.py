"""Reader of workbooks: xlsx, xls, xlsb and ods."""

import io
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import python_calamine

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import ATTRIBUTE, column_names
from holdfast.ingestion.reading.header import name_columns, require_columns
from holdfast.ingestion.reading.layout_rows import set_aside_layout_rows
from holdfast.ingestion.reading.sheet_columns import SheetColumn, convert_cells
from holdfast.ingestion.reading.source import SourceFile

_HEADER_ROWS = 50
_TEXTS = frozenset({"customer_id", "source", "kind", "attribute"})


def read_workbook(name: str, content: bytes, mapping: ColumnMapping) -> SourceFile:
    """Read a sheet, or several sheets with the same columns, as string columns.

    Args:
        name: Name of the file.
        content: Bytes of the file.
        mapping: Mapping with the sheet and the rows above its header.

    Returns:
        Rows of the sheets, one behind the other.

    Raises:
        IngestError: The bytes are no readable workbook, several sheets have the mapped columns and none is chosen, or
            a spreadsheet program turned values of a mapped column into dates.
    """
    try:
        workbook = python_calamine.load_workbook(io.BytesIO(content))
        rows = {sheet: workbook.get_sheet_by_name(sheet) for sheet in workbook.sheet_names}
    except python_calamine.PasswordError as error:
        raise IngestError(f"{name} is protected by a password. Save it without one.") from error
    except (python_calamine.CalamineError, python_calamine.ZipError, python_calamine.XmlError, OSError) as error:
        raise IngestError(f"{name} is not a readable workbook ({error}). Save it again as xlsx or CSV.") from error
    chosen, notes = _choose_sheets(name, rows, mapping)
    tables = [_read_sheet(name, sheet, rows[sheet], mapping) for sheet in chosen]
    table, types = tables[0]
    for sheet, (other, other_types) in zip(chosen[1:], tables[1:], strict=True):
        if other.column_names != table.column_names:
            raise IngestError(
                f"{name}: sheet {sheet!r} has other columns than sheet {chosen[0]!r}: {', '.join(other.column_names)}. "
                "Save the sheets as files of their own in a folder."
            )
        table = pa.concat_tables([table, other])
        types = {column: kind for column, kind in types.items() if other_types.get(column) == kind}
    row_numbers = np.arange(1, table.num_rows + 1)
    return set_aside_layout_rows(SourceFile(name, table, row_numbers, types=types, notes=notes), mapping)


def _choose_sheets(
    name: str, sheets: dict[str, python_calamine.CalamineSheet], mapping: ColumnMapping
) -> tuple[list[str], tuple[str, ...]]:
    listing = ", ".join(map(repr, sheets))
    if mapping.sheet is not None:
        for sheet in mapping.sheet:
            if sheet not in sheets:
                raise IngestError(
                    f"{name} has no sheet {sheet!r}, which `sheet` in the mapping names. Sheets: {listing}."
                )
        return list(mapping.sheet), ()
    filled = [sheet for sheet, content in sheets.items() if content.height > 0]
    if not filled:
        raise IngestError(f"{name} is empty: no sheet has a value. Check the export that wrote it.")
    if len(filled) == 1:
        return filled, ()
    fitting = [sheet for sheet in filled if _has_columns(sheets[sheet], mapping)]
    if len(fitting) != 1:
        found = f"Several sheets of {name} have" if fitting else f"No sheet of {name} has"
        named = f": {', '.join(map(repr, fitting))}" if fitting else f" in row {mapping.skip_rows + 1}: {listing}"
        raise IngestError(
            f"{found} the mapped columns{named}. Set `sheet:` in the mapping to one of them, or to a list of sheets "
            "that are read one behind the other; `skip_rows:` skips rows above the header."
        )
    others = ", ".join(sheet for sheet in filled if sheet != fitting[0])
    return fitting, (f"{name}: sheet {fitting[0]!r} was read; left out, without the mapped columns: {others}.",)


def _has_columns(sheet: python_calamine.CalamineSheet, mapping: ColumnMapping) -> bool:
    rows = list(islice(sheet.iter_rows(), mapping.skip_rows + _HEADER_ROWS))[mapping.skip_rows :]
    header: list[Any] = next((row for row in rows if any(cell != "" for cell in row)), [])
    return set(mapping.required_columns) <= set(name_columns(list(map(str, header))))


def _read_sheet(
    name: str, sheet: str, content: python_calamine.CalamineSheet, mapping: ColumnMapping
) -> tuple[pa.Table, dict[str, pa.DataType]]:
    rows: Sequence[Sequence[Any]] = content.to_python(skip_empty_area=False)
    header_row = next((i for i in range(mapping.skip_rows, len(rows)) if any(cell != "" for cell in rows[i])), None)
    if header_row is None:
        raise IngestError(f"{name}: sheet {sheet!r} has no row below `skip_rows: {mapping.skip_rows}`.")
    header = _read_header(name, rows[header_row : header_row + _HEADER_ROWS], mapping, header_row)
    first = header_row if mapping.column_names else header_row + 1
    columns = [convert_cells(cells, mapping.decimal) for cells in zip(*rows[first:], strict=True)]
    columns = columns or [SheetColumn(pa.array([], pa.string()), None) for _ in header]
    _require_undamaged(name, dict(zip(header, columns, strict=True)), mapping)
    named = [position for position, label in enumerate(header) if label != f"(column {position + 1})"]
    table = pa.table([columns[i].text for i in named], names=[header[i] for i in named])
    blank = np.logical_and.reduce([np.asarray(column.to_numpy()) == "" for column in table.columns])
    types = {header[i]: columns[i].type for i in named if columns[i].type is not None}
    return table.filter(pa.array(~blank)), types


def _read_header(name: str, rows: Sequence[Sequence[Any]], mapping: ColumnMapping, skipped: int) -> list[str]:
    if mapping.column_names is not None:
        if len(mapping.column_names) != len(rows[0]):
            raise IngestError(
                f"{name} has {len(rows[0])} columns, and `column_names` in the mapping has "
                f"{len(mapping.column_names)}. Name each column once, from the left."
            )
        return list(mapping.column_names)
    header = name_columns(list(map(str, rows[0])))
    if not mapping.join:
        lines = ["\t".join(" ".join(str(cell).split()) for cell in row) for row in rows]
        as_text = mapping.model_copy(update={"delimiter": "\t", "quoted": False})
        require_columns(name, header, as_text, lines, skipped)
    return header


def _require_undamaged(name: str, columns: dict[str, SheetColumn], mapping: ColumnMapping) -> None:
    """Reject mapped columns in which a spreadsheet program changed values."""
    fields = {label: field for field, source in mapping.columns.by_field.items() for label in column_names(source)}
    for label, field in fields.items():
        column = columns.get(label)
        if column is None:
            continue
        if field == "customer_id" and column.inexact is not None:
            raise IngestError(
                f"{name}: column {label!r} has numbers of more than 15 digits, such as {column.inexact:.0f}: "
                "the spreadsheet has lost their last digits. Export the ids as text or as CSV."
            )
        is_text = field in _TEXTS or field.startswith(ATTRIBUTE) or (field, mapping.kind) == ("value", "attributes")
        if field != "event_timestamp" and column.has_dates and (column.has_other or not is_text):
            raise IngestError(
                f"{name}: column {label!r}, mapped to {field}, has dates: the spreadsheet turned values such as 1.5 or "
                "3-4 into dates. Format the column as text or number and import it again, or export CSV."
            )
        if field == "event_timestamp" and column.date_like is not None:
            raise IngestError(
                f"{name}: column {label!r} has dates and, as text, {column.date_like!r}: the spreadsheet read a part "
                "of the dates, perhaps with day and month swapped, and left the others. Export CSV, or import the "
                "column as text and set `timestamp_format`."
            )
