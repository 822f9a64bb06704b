"""Application of a mapping's rules for rows to a source."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import RowIssue, Source, SourceFile
from holdfast.ingestion.row_rules.carry_down import carry_down_values
from holdfast.ingestion.row_rules.condition_values import find_absent_values
from holdfast.ingestion.row_rules.conditions import read_raw_column
from holdfast.ingestion.row_rules.filters import find_filtered_rows, require_rows
from holdfast.ingestion.row_rules.orders import find_repeated_lines
from holdfast.ingestion.row_rules.refunds import split_refunds


@dataclass(frozen=True)
class SelectedRows:
    """Source after the rules for rows.

    Attributes:
        source: Source with the rows that count, followed by files of the refunds.
        rows_filtered: Rows that do not count.
        rows_from_refunds: Rows in the files of refunds.
    """

    source: Source
    rows_filtered: int = 0
    rows_from_refunds: int = 0


def apply_row_rules(source: Source, mapping: ColumnMapping) -> SelectedRows:
    """Carry values down, leave rows out, and split refunds from their purchases, in this order.

    Rows with a reason for quarantine from their reader are never left out.

    Args:
        source: Source as read.
        mapping: Column mapping.

    Returns:
        Source with the rows that count.

    Raises:
        IngestError: The conditions leave no row, or the values of the source contradict a rule.
    """
    files = source.files
    rules = [mapping.for_file(file.name) for file in files]
    files = [
        carry_down_values(file, rule.carry_down) if rule.carry_down else file
        for file, rule in zip(files, rules, strict=True)
    ]
    selected, notes = _filter_groups(files, rules)
    if files and not any(file.rows.num_rows for file in selected) and any(file.rows.num_rows for file in files):
        require_rows([file for file, rule in zip(files, rules, strict=True) if rule == rules[0]], rules[0], source.name)
    selected, more_notes = _select_lines(selected, rules)
    refunds = [split for file, rule in zip(selected, rules, strict=True) if (split := split_refunds(file, rule))]
    rows_from_refunds = sum(file.rows.num_rows for file in refunds)
    notes += more_notes
    if rows_from_refunds:
        notes.append(f"refund adds {rows_from_refunds:,} returns to the rows read.")
    filtered = sum(file.rows.num_rows for file in files) - sum(file.rows.num_rows for file in selected)
    return SelectedRows(
        replace(source, files=[*selected, *refunds], notes=(*source.notes, *notes)), filtered, rows_from_refunds
    )


def _filter_groups(files: list[SourceFile], rules: list[ColumnMapping]) -> tuple[list[SourceFile], list[str]]:
    result, notes = list(files), []
    for positions in _group_equal(rules, lambda rule: bool(rule.where or rule.where_not or rule.cancellation)):
        group = [files[position] for position in positions]
        if cancelled := rules[positions[0]].cancellation:
            notes += find_absent_values(
                "cancellation", cancelled.column, cancelled, read_raw_column(group, cancelled.column)
            )
        filtered, found = find_filtered_rows(group, rules[positions[0]])
        notes += found
        for position, mask in zip(positions, _split(filtered, group), strict=True):
            bad = (
                np.logical_or.reduce([issue.rows for issue in files[position].issues])
                if files[position].issues
                else False
            )
            result[position] = files[position].take(np.flatnonzero(~mask | bad)) if mask.any() else files[position]
    return result, notes


def _select_lines(files: list[SourceFile], rules: list[ColumnMapping]) -> tuple[list[SourceFile], list[str]]:
    result, notes = list(files), []
    for positions in _group_equal(rules, lambda rule: rule.one_row_per is not None):
        group = [files[position] for position in positions]
        repeated, issue, found = find_repeated_lines(group, rules[positions[0]])
        notes += found
        masks = zip(positions, _split(repeated, group), _split(issue.rows, group), strict=True)
        for position, mask, contradicted in masks:
            file = files[position]
            issues = (*file.issues, RowIssue(issue.reason, contradicted)) if contradicted.any() else file.issues
            result[position] = replace(file, issues=issues).take(np.flatnonzero(~mask))
    return result, notes


def _group_equal(rules: list[ColumnMapping], has_rule: Callable[[ColumnMapping], bool]) -> list[list[int]]:
    """Return the positions of the files with equal rules, for the rules that are concerned."""
    groups: dict[str, list[int]] = {}
    for position, rule in enumerate(rules):
        if has_rule(rule):
            groups.setdefault(rule.sha256, []).append(position)
    return list(groups.values())


def _split(mask: np.ndarray, files: list[SourceFile]) -> list[np.ndarray]:
    return np.split(mask, np.cumsum([file.rows.num_rows for file in files])[:-1])
