"""Columns of data frames in Arrow's memory: Python objects would take most of the time of an ingest."""

from typing import Any

import pandas as pd

TEXT = pd.StringDtype("pyarrow")


def as_text(values: Any) -> pd.Series:
    """Make a column of strings.

    Args:
        values: Strings (pyarrow), null where a value is missing, shape (rows,).

    Returns:
        Column of the type ``TEXT``, shape (rows,).
    """
    return pd.Series(pd.arrays.ArrowStringArray(values))


def as_lists(values: Any) -> pd.Series:
    """Make a column of lists of strings.

    Args:
        values: Lists (pyarrow), shape (rows,).

    Returns:
        Column with a list per row, shape (rows,).
    """
    return pd.Series(pd.arrays.ArrowExtensionArray(values))
