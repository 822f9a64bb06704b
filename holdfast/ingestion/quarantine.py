"""Quarantine table: the unchanged bad rows of a source, with every reason."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.threads import map_in_threads
from holdfast.ingestion.arrow_columns import as_lists, as_text
from holdfast.ingestion.parsing.columns import RowIssue
from holdfast.ingestion.reading.source import SourceFile

_CONTROL = r"[\x00-\x1f]"
_SPECIAL = r'[\x00-\x1f"\\]'
_REASONS = pa.list_(pa.string())


def build_quarantine(file: SourceFile, issues: Sequence[RowIssue], is_bad: np.ndarray) -> pd.DataFrame:
    """Build the quarantine table of a file: a JSON object per bad row, a JSON string per malformed line.

    Args:
        file: File of a source.
        issues: Reasons with their rows.
        is_bad: True for the bad rows, shape (rows,).

    Returns:
        Columns source_file, row_number, reasons and raw, in the order of the file.
    """
    raw = _to_json(file.rows.filter(pa.array(is_bad)), list_unique_names(file))
    lines = pa.array([json.dumps(text, ensure_ascii=False) for text in file.malformed.texts], pa.string())
    of_lines = pa.array([[reason] for reason in file.malformed.reasons], _REASONS)
    frame = pd.DataFrame(
        {
            "source_file": as_text(pa.repeat(file.name, len(raw) + len(lines))),
            "row_number": np.concatenate([file.row_numbers[is_bad], file.malformed.row_numbers]),
            "reasons": as_lists(pa.chunked_array([_list_reasons(issues, is_bad), of_lines])),
            "raw": as_text(pa.chunked_array([raw, lines], pa.string())),
        }
    )
    if frame["row_number"].is_monotonic_increasing:
        return frame
    return frame.sort_values("row_number", ignore_index=True)


def _list_reasons(issues: Sequence[RowIssue], is_bad: np.ndarray) -> pa.ListArray:
    """List the reasons of each bad row; each combination of reasons is built once."""
    if not issues:
        return pa.array([[]] * int(is_bad.sum()), _REASONS)
    matrix = np.stack([issue.rows[is_bad] for issue in issues], axis=1)
    bits = np.packbits(matrix, axis=1)
    encoded = pa.Array.from_buffers(pa.binary(bits.shape[1]), len(bits), [None, pa.py_buffer(bits)]).dictionary_encode()
    of_row = encoded.indices.to_numpy()
    _, first_rows = np.unique(of_row, return_index=True)
    lists = [[issue.reason for issue, has in zip(issues, row, strict=True) if has] for row in matrix[first_rows]]
    return pa.array(lists, _REASONS).take(encoded.indices)


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
    """Write each row as a JSON object as ``json.dumps`` does."""
    parts: list[pa.Array | pa.Scalar] = [pa.scalar("{")]
    values = map_in_threads(lambda column: _escape(column.combine_chunks()), rows.columns)
    for number, (name, column) in enumerate(zip(names, values, strict=True)):
        begin = '", ' if number else ""
        parts += [pa.scalar(f'{begin}{json.dumps(name, ensure_ascii=False)}: "'), column]
    if not values:
        return pa.array(["{}"] * rows.num_rows, pa.string())
    return pc.binary_join_element_wise(*parts, pa.scalar('"}'), pa.scalar(""), null_handling="replace")


def _escape(text: pa.Array) -> pa.Array:
    """Write each string as within a JSON string; the rare ones with control characters one by one."""
    if not pc.any(pc.match_substring_regex(text, _SPECIAL)).as_py():
        return text
    escaped = pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"')
    has_control = pc.match_substring_regex(text, _CONTROL)
    if not pc.any(has_control).as_py():
        return escaped
    rewritten = [json.dumps(value, ensure_ascii=False)[1:-1] for value in text.filter(has_control).to_pylist()]
    return pc.replace_with_mask(escaped, has_control, pa.array(rewritten, escaped.type))
