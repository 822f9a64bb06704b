"""Columns that a mapping names and a file does not have, or has twice."""

from difflib import get_close_matches


def describe_missing_column(location: object, column: str, found: list[str]) -> str:
    """Describe a column that a file does not have, or has more than once.

    Args:
        location: File.
        column: Column that the mapping names.
        found: Columns of the file.

    Returns:
        Text of an error.
    """
    listing = ", ".join(repr(name) for name in found)
    hint = " Only one column was found: set `delimiter:` in the mapping?" if len(found) == 1 else ""
    problem = "is missing" if column not in found else "appears more than once"
    by_case = {name.casefold(): name for name in found}
    close = get_close_matches(column.casefold(), by_case, n=1) if column not in found else []
    hint += f" Did you mean {by_case[close[0]]!r}?" if close else ""
    return (
        f"{location}: column {column!r}, named in the mapping, {problem}. Columns found: {listing}. "
        f"Correct the mapping or the export.{hint}"
    )
