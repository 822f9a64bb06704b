"""Parsers of texts: names of kinds and sources, and values of attributes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.formatting import format_count
from holdfast.ingestion.arrow_columns import as_text
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import Constant
from holdfast.ingestion.parsing.columns import ParsedColumn, TextColumn
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.row_rules.conditions import as_mask, read_raw_column

# Texts that programs write for a missing value and that no person chooses as a value, in lower case.
_MISSING = pa.array(["", "nan", "null", "<na>", "nat", "n/a"])
_AMBIGUOUS = pa.array(["na", "none"])  # NA is also Namibia, and none also a plan
_WHOLE = r"^(-?[0-9]+)\.0+$"


@dataclass(frozen=True)
class AttributeCells:
    """Cells of one attribute.

    Attributes:
        values: Text of each cell; null where it states no value or an erasure, shape (rows,).
        is_stated: True where the cell states a value or an erasure, shape (rows,).
        notes: Sentences for the person who ingests the source.
    """

    values: pa.StringArray
    is_stated: np.ndarray
    notes: tuple[str, ...] = ()


def parse_texts(column: TextColumn, field: str, mapping: ColumnMapping) -> ParsedColumn:
    """Parse a column of names, such as the kind of an event.

    Args:
        column: Column as text.
        field: Field of the mapping; not used here.
        mapping: Column mapping; not used here.

    Returns:
        The trimmed texts, unchanged.
    """
    return ParsedColumn(as_text(column.text))


def parse_attribute_cells(
    files: Sequence[SourceFile], source: str | Constant, mapping: ColumnMapping
) -> AttributeCells:
    """Parse the cells of an attribute.

    The text of a value depends on its cell only, so that equal values of two exports are equal: a whole number loses
    its ``.0``, which programs add to a column with blanks.

    Args:
        files: Files that share the mapping.
        source: Column or constant.
        mapping: Mapping with the texts of missing and erased values.

    Returns:
        Cells of all files.
    """
    if isinstance(source, Constant):
        size = sum(file.rows.num_rows for file in files)
        return AttributeCells(pa.repeat(source.constant, size), np.ones(size, dtype=bool))
    raw = read_raw_column(files, source)
    missing = as_mask(pc.is_in(pc.utf8_lower(raw), value_set=_MISSING)) | _is_any(raw, mapping.missing_values)
    erased = _is_any(raw, mapping.erased_values)
    if None in mapping.erased_values:
        erased |= as_mask(pc.equal(raw, ""))
    values = pc.replace_substring_regex(raw, _WHOLE, r"\1")
    values = pc.if_else(pa.array(missing | erased), pa.scalar(None, pa.string()), values)
    return AttributeCells(values, ~missing | erased, _describe_ambiguous(source, values))


def _is_any(raw: pa.StringArray, texts: Sequence[str | None]) -> np.ndarray:
    return as_mask(pc.is_in(raw, value_set=pa.array([text for text in texts if text is not None], pa.string())))


def _describe_ambiguous(name: str, values: pa.StringArray) -> tuple[str, ...]:
    counts = pc.value_counts(values.filter(pc.is_in(pc.utf8_lower(values), value_set=_AMBIGUOUS))).to_pylist()
    return tuple(
        f"Column {name!r}: {text!r} is read as a value in {format_count(count, 'row')}. If it stands for a missing "
        f"value, set `missing_values: [{text}]` in the mapping."
        for text, count in (item.values() for item in counts)
    )
