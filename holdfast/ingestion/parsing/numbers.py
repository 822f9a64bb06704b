"""Parser of numbers and amounts."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import ParsedColumn, TextColumn, find_unreadable

_NUMBER = r"^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity))$"


def parse_numbers(column: TextColumn, field: str, mapping: ColumnMapping) -> ParsedColumn:
    """Parse a column of numbers.

    Args:
        column: Column as text.
        field: Transaction field, for reasons and errors.
        mapping: Mapping with the notation of numbers.

    Returns:
        Numbers as float64.
    """
    text = column.text
    if not column.is_number and mapping.decimal == ",":
        text = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    text = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, pa.scalar(None, pa.string()))
    values: pd.Series = pc.cast(text, pa.float64()).to_pandas()
    return ParsedColumn(values, (find_unreadable(column, values, "a number", field),))
