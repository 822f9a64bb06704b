"""Join of the rows of a source with other files of the same folder."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.file_rules import READING_KEYS, matches_file
from holdfast.ingestion.mapping_rules import Join
from holdfast.ingestion.reading.column_names import OTHER_FILE, describe_missing_column
from holdfast.ingestion.reading.source import RowIssue, SourceFile
from holdfast.ingestion.reading.source_files import ListedFile

_SEPARATOR = "\x1f"  # between the columns of a key


def select_files(locations: Sequence[ListedFile], mapping: ColumnMapping) -> tuple[list[ListedFile], list[str]]:
    """Select the files that a mapping reads.

    Args:
        locations: Files of the source.
        mapping: Mapping of the source.

    Returns:
        Files to read; and notes of rules for files that do not exist.

    Raises:
        IngestError: ``rows_from`` or ``join`` names a file that does not exist.
    """
    names = [location.name for location in locations]
    patterns = [("rows_from", mapping.rows_from), *(("join", join.file) for join in mapping.join)]
    for key, pattern in patterns:
        if pattern and not any(matches_file(name, pattern) for name in names):
            raise IngestError(
                f"No file of the source has the name {pattern!r}, which `{key}` in the mapping names. Files: "
                f"{', '.join(names)}. Give the folder with all files as --source."
            )
    selected = [location for location in locations if mapping.reads_file(location.name)]
    notes = []
    unmatched = [rule.match for rule in mapping.files if not any(matches_file(name, rule.match) for name in names)]
    if unmatched and len(names) > 1:
        notes.append(f"No file of the source has a name that `files` matches: {', '.join(map(repr, unmatched))}.")
    return selected, notes


def is_joined(name: str, mapping: ColumnMapping) -> bool:
    """Check whether ``join`` names a file: its rows are no transactions.

    Args:
        name: Name of the file.
        mapping: Mapping of the source.

    Returns:
        True for a file with more columns for the rows of other files.
    """
    return any(matches_file(name, join.file) for join in mapping.join)


def join_files(files: Sequence[SourceFile], mapping: ColumnMapping) -> tuple[list[SourceFile], list[str]]:
    """Add the columns of joined files to the rows of the other files.

    Args:
        files: Files of a source, with the joined ones.
        mapping: Mapping of the source.

    Returns:
        Files with rows, and notes. Columns that the mapping needs come from the joined files; a row without a partner
        has a reason for quarantine.

    Raises:
        IngestError: A file or a column is missing, a key has two different rows, or no key has a partner.
    """
    if not mapping.join:
        return list(files), []
    notes = []
    of_join = [[file for file in files if matches_file(file.name, join.file)] for join in mapping.join]
    joined = {id(file) for group in of_join for file in group}
    result = [file for file in files if id(file) not in joined]
    for join, group in zip(mapping.join, of_join, strict=True):
        if bad := sum(file.rows_read for file in group) - sum(len(_usable(file)) for file in group):
            notes.append(f"{join.file}: {bad:,} bad lines are left out of the join.")
        for file in group:
            _require_reading_keys(file, mapping)
        group = [file.take(_usable(file)) for file in group]
        needed = [*mapping.required_columns, *(name for other in mapping.join for name in other.left_key)]
        result = _join(result, group, join, needed)
    if not result:
        raise IngestError("Every file of the source is named by `join`: no file with rows is left.")
    return result, notes


def _require_reading_keys(file: SourceFile, mapping: ColumnMapping) -> None:
    """Reject a rule for a joined file that would have no effect: its values are parsed by the rules of the rows."""
    rule = next((rule for rule in mapping.files if matches_file(file.name, rule.match)), None)
    if rule and (without_effect := sorted(set(rule.model_extra or {}) - READING_KEYS)):
        raise IngestError(
            f"The rule for {rule.match!r} in `files` sets {without_effect[0]}, which has no effect on {file.name}: the "
            "values of a joined file are read by the rules of the rows. Move the key there."
        )


def _usable(file: SourceFile) -> np.ndarray:
    """Return the positions of the rows without a reason for quarantine."""
    bad = np.logical_or.reduce([np.zeros(file.rows.num_rows, dtype=bool), *(issue.rows for issue in file.issues)])
    return np.flatnonzero(~bad)


def _join(rows: list[SourceFile], group: list[SourceFile], join: Join, needed: list[str]) -> list[SourceFile]:
    added = _find_added_columns(rows, group, join, needed)
    keys = pa.concat_arrays([_read_key(file, join.right_key) for file in group])
    columns = {
        label: pa.chunked_array([chunk for file in group for chunk in file.rows.column(name).chunks], pa.string())
        for label, name in added.items()
    }
    _require_unique_keys(group, join, keys, columns)
    types = {label: group[0].types[name] for label, name in added.items() if name in group[0].types}
    result, found = [], 0
    for file in rows:
        left = _read_key(file, join.left_key)
        positions = pc.index_in(left, value_set=keys, skip_nulls=True)
        without = np.asarray(pc.is_null(positions).to_numpy(zero_copy_only=False))
        found += int((~without).sum())
        table = file.rows
        for label, column in columns.items():
            values = pc.fill_null(column.take(positions), "")
            table = table.append_column(label, values)
        issue = RowIssue(f"no row of {join.file} has this {' and '.join(join.left_key)}", without)
        issues = (*file.issues, issue) if without.any() else file.issues
        result.append(replace(file, rows=table, types={**file.types, **types}, issues=issues))
    if not found and any(file.rows.num_rows for file in rows):
        raise IngestError(
            f"No {' and '.join(map(repr, join.left_key))} of the rows is in {join.file}: the rows have "
            f"{_list_values(rows, join.left_key)}, the file has {_list_values(group, join.right_key)}. "
            "Correct `join` in the mapping."
        )
    return result


def _find_added_columns(
    rows: list[SourceFile], group: list[SourceFile], join: Join, needed: list[str]
) -> dict[str, str]:
    """Return the columns that the mapping needs from a joined file, by the name that they get."""
    for files, names in ((rows, join.left_key), (group, join.right_key)):
        for file in files:
            for name in names:
                if file.rows.column_names.count(name) != 1:
                    hint = OTHER_FILE if files is rows and len(rows) > 1 else ""
                    raise IngestError(describe_missing_column(file.name, name, file.rows.column_names) + hint)
    available = {f"{join.prefix}{name}": name for name in group[0].rows.column_names}
    added = {label: available[label] for label in dict.fromkeys(needed) if label in available}
    added = {label: name for label, name in added.items() if label not in join.left_key}
    for label, name in added.items():
        if any(label in file.rows.column_names for file in rows):
            raise IngestError(
                f"Column {label!r} is in the rows and in {join.file}. Set a `prefix` for {join.file} in `join`, for "
                f"example {_stem(join.file)}_, and name the column in the mapping with it or without it."
            )
        for file in group:
            if file.rows.column_names.count(name) != 1:
                raise IngestError(describe_missing_column(file.name, name, file.rows.column_names))
    return added


def _read_key(file: SourceFile, names: tuple[str, ...]) -> pa.StringArray:
    """Read a key as text, null where a part of it is blank; a whole number written as a float loses its ``.0``."""
    parts = []
    for name in names:
        text = pc.utf8_trim_whitespace(file.rows.column(name).combine_chunks())
        text = pc.replace_substring_regex(text, r"^([0-9]+)\.0+$", r"\1")
        parts.append(pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text))
    return pc.binary_join_element_wise(*parts, _SEPARATOR) if len(parts) > 1 else parts[0]


def _require_unique_keys(
    group: list[SourceFile], join: Join, keys: pa.StringArray, columns: dict[str, pa.ChunkedArray]
) -> None:
    """Reject keys with different rows; rows that are equal in the columns that the mapping needs are one."""
    if pc.count_distinct(keys).as_py() == len(keys) - keys.null_count:
        return
    frame = pd.DataFrame({"key": keys.to_pandas()} | {f"c{i}": c.to_pandas() for i, c in enumerate(columns.values())})
    distinct = frame.dropna(subset="key").drop_duplicates()
    repeated = distinct[distinct["key"].duplicated(keep=False)]
    if len(repeated):
        examples = ", ".join(repr(key.replace(_SEPARATOR, " ")) for key in repeated["key"].unique()[:3])
        raise IngestError(
            f"{group[0].name}: {repeated['key'].nunique():,} values of {' and '.join(map(repr, join.right_key))} have "
            f"two rows that differ, for example {examples}. A joined file needs one row per key: read the file with "
            "several rows per key as the rows (`rows_from`) and join the other one."
        )


def _list_values(files: list[SourceFile], names: tuple[str, ...]) -> str:
    values = [value for file in files for value in _read_key(file, names).drop_null()[:3].to_pylist()][:3]
    return ", ".join(repr(value.replace(_SEPARATOR, " ")) for value in values) or "none"


def _stem(name: str) -> str:
    return name.split(".")[0].replace("*", "").strip("-_ ") or "joined"
