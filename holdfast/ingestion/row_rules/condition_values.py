"""Values of a condition that no row has."""

from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.mapping_rules import Condition

_LISTED_VALUES = 3
_COMPARED_VALUES = 1000  # most frequent values that are compared with an absent one


def find_absent_values(key: str, name: str, condition: Condition, text: pa.StringArray) -> list[str]:
    """Find the values of a condition that no row has.

    Args:
        key: Key of the mapping with the condition.
        name: Name of the column.
        condition: Condition on the column.
        text: Values of the column.

    Returns:
        Note of the values, or none.

    Raises:
        IngestError: A value of the condition differs from those of the column in its case.
    """
    if condition.starts_with is not None and pc.any(pc.starts_with(text, condition.starts_with)).as_py():
        return []  # without a search for the distinct values, of which an id column has millions
    found = pc.unique(text)
    if condition.starts_with is not None:
        absent = [condition.starts_with]
        similar = found.filter(pc.starts_with(found, condition.starts_with, ignore_case=True))
        other_case = {value: similar[0].as_py() for value in absent if len(similar)}
    else:
        given = [value for value in condition.values or () if value is not None]
        is_found = pc.is_in(pa.array(given, pa.string()), value_set=found).to_pylist()
        absent = [value for value, has in zip(given, is_found, strict=True) if not has]
        by_case = {value.casefold(): value for value in found.to_pylist()} if absent else {}
        other_case = {value: by_case[value.casefold()] for value in absent if value.casefold() in by_case}
    if other_case:
        value, other = next(iter(other_case.items()))
        raise IngestError(
            f"Column {name!r} has no value {value!r}, which `{key}` in the mapping names, but {other!r}. Write it as "
            f"it is in the source: it has {describe_values(text)}."
        )
    if not absent or not len(text):
        return []
    close = [match for value in absent for match in get_close_matches(value, _most_frequent(text), n=1, cutoff=0.8)]
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(map(repr, absent))
    begin = " at its begin" if condition.starts_with else ""
    return [f"{key}: no row has {listed}{begin} in column {name!r}; it has {describe_values(text)}.{hint}"]


def _most_frequent(text: pa.StringArray) -> list[str]:
    counts = pc.value_counts(text)
    order = np.argsort(-counts.field("counts").to_numpy(), kind="stable")[:_COMPARED_VALUES]
    return [value for value in counts.field("values").take(pa.array(order)).to_pylist() if value]


def describe_values(text: pa.StringArray) -> str:
    """Describe the most frequent values of a column.

    Args:
        text: Values of the column.

    Returns:
        Text such as ``'paid' (12), blank (3) and 2 more values``.
    """
    counts = pc.value_counts(text)
    order = np.argsort(-counts.field("counts").to_numpy(), kind="stable")[:_LISTED_VALUES]
    top = [counts[int(position)].as_py() for position in order]
    listed = ", ".join(f"{repr(item['values']) if item['values'] else 'blank'} ({item['counts']:,})" for item in top)
    more = len(counts) - len(top)
    return listed + (f" and {more:,} more value{'s' if more > 1 else ''}" if more else "")
