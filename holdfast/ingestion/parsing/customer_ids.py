"""Parser of customer ids."""

import pandas as pd
import pyarrow.compute as pc

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import ParsedColumn, TextColumn, find_unreadable


def parse_customer_ids(column: TextColumn, field: str, mapping: ColumnMapping) -> ParsedColumn:
    """Parse a column of customer ids.

    A whole number written as a float loses its ``.0``; leading zeros are preserved.

    Args:
        column: Column as text.
        field: Transaction field, for reasons and errors.
        mapping: Mapping of the source.

    Returns:
        Ids as strings.
    """
    values: pd.Series = pc.replace_substring_regex(column.text, r"^([0-9]+)\.0+$", r"\1").to_pandas()
    return ParsedColumn(values, (find_unreadable(column, values, "an id", field),))
