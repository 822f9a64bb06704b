"""Rows of an export that are no data: repeated headers and totals."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import column_names
from holdfast.ingestion.reading.source import MalformedLines, RowIssue, SourceFile

_REPEATED_HEADER = "a repeated header"
_TOTAL = "a totals row"
_TRAILING = 3  # rows at the end among which totals are searched
_TOTAL_WORDS = (
    "total totals sum subtotal subtotals grand-total sub-total overall-total summe gesamt gesamtsumme insgesamt "
    "zwischensumme endsumme totaux total-général somme sous-total totale totali suma suma-total totaal subtotaal "
    "summa yhteensä razem celkem itogo итого всего 合計 総計 小計 合计 总计 總計 小计"
)  # fmt: skip
_WORDS = [word.replace("-", separator) for word in _TOTAL_WORDS.split() for separator in ("-", " ", "")]
_WORD_FORMS = sorted(
    {
        form + end
        for word in _WORDS
        for form in (word, word.capitalize(), word.title(), word.upper())
        for end in ("", ":")
    }
)
_TOTAL_CELL = re.compile(rf"^\W*(?:{'|'.join(map(re.escape, _WORDS))})(?:\W.*)?$", re.IGNORECASE | re.DOTALL)
_ROW_COUNT = re.compile(r"^\(?\d+ (?:rows?|records?)\b", re.IGNORECASE)


def is_total(cell: str) -> bool:
    """Return True for a cell such as ``Total``, ``Grand total:`` or ``(4 rows)``.

    Args:
        cell: Text of a cell.

    Returns:
        True for a totals word, perhaps with more text behind it, and for a count of rows.
    """
    return bool(_TOTAL_CELL.match(cell) or _ROW_COUNT.match(cell))


def set_aside_layout_rows(file: SourceFile, mapping: ColumnMapping) -> SourceFile:
    """Move repeated headers and totals from the rows of a file to its malformed lines.

    Args:
        file: File as read.
        mapping: Mapping of the file.

    Returns:
        File without such rows, before any column is parsed.

    Raises:
        IngestError: A second header has another order of columns.
    """
    if file.rows.num_rows == 0:
        return file
    reasons = dict.fromkeys(_find_repeated_headers(file, mapping), _REPEATED_HEADER)
    reasons |= dict.fromkeys(_find_totals(file, mapping), _TOTAL)
    return _move_rows(file, reasons) if reasons else file


def _find_repeated_headers(file: SourceFile, mapping: ColumnMapping) -> list[int]:
    header = file.rows.column_names
    mapped = [column for column in mapping.required_columns if header.count(column) == 1]
    if len(mapped) < 2:
        return []
    names = pa.array(sorted({form for name in header for form in (name, f" {name}", f"{name} ")}))
    first, second = (pc.is_in(file.rows.column(column), names) for column in mapped[:2])
    found = []
    for position in np.flatnonzero(pc.and_(first, second).to_numpy()).tolist():
        cells = [value.strip() for value in _row(file, position)]
        if all(cells[header.index(column)] == column for column in mapped):
            found.append(position)
        elif set(mapped) <= set(cells) or sum(cells[header.index(column)] == column for column in mapped) > 1:
            raise IngestError(
                f"{file.name}: row {file.row_numbers[position]} is a second header with other columns or another order "
                f"({', '.join(cells)}). Split the file there, and give the parts in a folder."
            )
    return found


def _find_totals(file: SourceFile, mapping: ColumnMapping) -> list[int]:
    """Find totals at the end, and blocks of rows that a row with a totals word as its id sums up."""
    columns = mapping.columns
    id_column = column_names(columns.customer_id)[0]
    if id_column not in file.rows.column_names:
        return []
    ids = file.rows.column(id_column)
    found = [row for row in range(max(0, len(ids) - _TRAILING), len(ids)) if _is_total_row(file, row, mapping)]
    named = np.flatnonzero(pc.is_in(ids, pa.array(_WORD_FORMS)).to_numpy()).tolist()
    if named and isinstance(columns.amount, str) and columns.amount in file.rows.column_names:
        amounts = _plain_numbers(pc.utf8_trim_whitespace(file.rows.column(columns.amount)), mapping.decimal)
        start = 0
        for row in named:
            if row > start and np.isclose(np.nansum(amounts[start:row]), amounts[row], atol=0.005):
                found.append(row)
                start = row + 1
    return found


def _is_total_row(file: SourceFile, row: int, mapping: ColumnMapping) -> bool:
    cells = dict(zip(file.rows.column_names, _row(file, row), strict=False))
    if _is_only_word(cells[column_names(mapping.columns.customer_id)[0]]):
        return True
    times = [cells.get(column, "").strip() for column in column_names(mapping.columns.event_timestamp)]
    without_time = bool(times) and all(not time or is_total(time) for time in times)
    return without_time and mapping.carry_down is None and any(is_total(cell.strip()) for cell in cells.values())


def _is_only_word(cell: str) -> bool:
    return cell.strip(" :*=-").lower() in _WORDS


def _plain_numbers(text: pa.ChunkedArray, decimal: str) -> np.ndarray:
    grouping = "," if decimal == "." else "."
    plain = pc.replace_substring(pc.replace_substring(text, grouping, ""), decimal, ".")
    plain = pc.if_else(pc.match_substring_regex(plain, r"^-?[0-9]+(\.[0-9]+)?$"), plain, pa.scalar(None, pa.string()))
    return np.asarray(pc.cast(plain, pa.float64()).to_numpy())


def _row(file: SourceFile, position: int) -> list[str]:
    return [column[position].as_py() for column in file.rows.columns]


def _move_rows(file: SourceFile, reasons: dict[int, str]) -> SourceFile:
    positions = sorted(reasons)
    remaining = np.ones(file.rows.num_rows, dtype=bool)
    remaining[positions] = False
    texts = [_write_line(_row(file, position)) for position in positions]
    numbers = np.concatenate([file.malformed.row_numbers, file.row_numbers[positions]])
    order = np.argsort(numbers)
    malformed = MalformedLines(
        row_numbers=numbers[order],
        texts=np.concatenate([file.malformed.texts, np.array(texts, dtype=object)])[order],
        reasons=np.concatenate([file.malformed.reasons, np.array([reasons[p] for p in positions], dtype=object)])[
            order
        ],
    )
    return replace(
        file,
        rows=file.rows.filter(pa.array(remaining)),
        row_numbers=file.row_numbers[remaining],
        malformed=malformed,
        issues=tuple(RowIssue(issue.reason, issue.rows[remaining]) for issue in file.issues),
    )


def _write_line(cells: list[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
