"""Columns that a mapping names and a file does not have, or has twice."""

import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches

_LONGEST_LISTING = 40
OTHER_FILE = (
    " If the file is no part of the table, name the files with rows in `rows_from`, or this one in `exclude_files`."
)


def describe_missing_column(location: object, column: str, found: Sequence[str], remedy: str | None = None) -> str:
    """Describe a column that a file does not have, or has more than once.

    Args:
        location: File.
        column: Column that the mapping names.
        found: Columns of the file.
        remedy: Sentence with the remedy; default the name of a similar column.

    Returns:
        Text of an error.
    """
    listing = ", ".join(repr(name) for name in found[:_LONGEST_LISTING])
    listing += ", …" if len(found) > _LONGEST_LISTING else ""
    problem = "is missing" if column not in found else "appears more than once"
    if remedy is None:
        remedy = "Correct the mapping or the export."
        if len(found) == 1:
            remedy += " Only one column was found: set `delimiter:` in the mapping?"
        if f"/{column}=" in f"/{location}":
            remedy += (
                f" A folder is called {column}=…, and names of folders add no column: write {column!r} into the files."
            )
        elif column not in found and (similar := find_similar(column, found)):
            remedy += f" Did you mean {similar!r}?"
    return f"{location}: column {column!r}, named in the mapping, {problem}. Columns found: {listing}. {remedy}"


def find_similar(column: str, found: Sequence[str]) -> str | None:
    """Find the column whose name is like another one.

    Args:
        column: Name that is missing.
        found: Names that exist.

    Returns:
        A name that differs in case, blanks, invisible characters or few letters; None without one.
    """
    by_form = {_plain_form(label): label for label in reversed(found)}
    close = get_close_matches(_plain_form(column), list(by_form), n=1, cutoff=0.7)
    return by_form[close[0]] if close else None


def _plain_form(name: str) -> str:
    """Return a name without case, blanks, separators and invisible characters."""
    form = unicodedata.normalize("NFKC", name).casefold()
    return "".join(character for character in form if character.isalnum())
