"""Quarantine table: the unchanged bad rows of a source, with every reason."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.columns import RowIssue
from holdfast.ingestion.reading.source import SourceFile

_NEEDS_ESCAPE = r'[\x00-\x1f"\\]'


def build_quarantine(file: SourceFile, issues: Sequence[RowIssue], is_bad: np.ndarray) -> pd.DataFrame:
    """Build the quarantine table of a file: a JSON object per bad row, a JSON string per malformed line.

    Args:
        file: File of a source.
        issues: Reasons with their rows.
        is_bad: True for the bad rows, shape (rows,).

    Returns:
        Columns source_file, row_number, reasons and raw, in the order of the file.
    """
    positions = np.flatnonzero(is_bad)
    reasons: list[list[str]] = [[] for _ in positions]
    for issue in issues:
        for position in np.flatnonzero(issue.rows[positions]):
            reasons[position].append(issue.reason)
    raw = _to_json(file.rows.take(positions), list_unique_names(file)).to_pylist()
    raw += [json.dumps(text, ensure_ascii=False) for text in file.malformed.texts]
    frame = pd.DataFrame(
        {
            "source_file": file.name,
            "row_number": np.concatenate([file.row_numbers[positions], file.malformed.row_numbers]),
            "reasons": pd.Series(reasons + [[reason] for reason in file.malformed.reasons], dtype=object),
            "raw": pd.Series(raw, dtype=object),
        }
    )
    return frame.sort_values("row_number", ignore_index=True)


def list_unique_names(file: SourceFile) -> list[str]:
    """List the column names; a repeated name gets its position, so that no value is lost.

    Args:
        file: File of a source.

    Returns:
        Name of each column, each once.
    """
    names = file.rows.column_names
    return [f"{name} ({i + 1})" if name in names[:i] else name for i, name in enumerate(names)]


def _to_json(rows: pa.Table, names: list[str]) -> pa.Array:
    """Write each row as a JSON object as ``json.dumps`` does; most values need no escapes."""
    parts: list[pa.Array | pa.Scalar] = []
    for number, (name, column) in enumerate(zip(names, rows.columns, strict=True)):
        parts.append(pa.scalar(f"{', ' if number else '{'}{json.dumps(name, ensure_ascii=False)}: "))
        parts.append(_quote(column.combine_chunks()))
    if not parts:
        return pa.array(["{}"] * rows.num_rows, pa.string())
    return pc.binary_join_element_wise(*parts, pa.scalar("}"), pa.scalar(""))


def _quote(text: pa.Array) -> pa.Array:
    quoted = pc.binary_join_element_wise(pa.scalar('"'), text, pa.scalar('"'), pa.scalar(""), null_handling="replace")
    special = np.asarray(pc.fill_null(pc.match_substring_regex(text, _NEEDS_ESCAPE), True).to_numpy(False))
    if not special.any():
        return quoted
    escaped = [json.dumps(value, ensure_ascii=False) for value in text.filter(pa.array(special)).to_pylist()]
    return pc.replace_with_mask(quoted, pa.array(special), pa.array(escaped, quoted.type))
