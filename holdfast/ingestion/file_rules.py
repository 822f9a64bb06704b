"""Rules of a mapping for some files of a folder, selected by the name of the file."""

import re
from fnmatch import translate
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# Keys that concern the table of a file; the other ones concern its rows and values.
READING_KEYS = frozenset({"encoding", "delimiter", "quoted", "skip_rows", "column_names", "sheet", "unterminated_row"})


class FileRuleError(ValueError):
    """Invalid rule for some files.

    Attributes:
        position: Position of the rule in ``files``.
        error: Error of the mapping with the rule applied.
    """

    def __init__(self, position: int, error: ValidationError) -> None:
        super().__init__(str(error))
        self.position = position
        self.error = error


class FileRule(BaseModel):
    """Keys of the mapping that differ for the files with a matching name.

    Every key but ``match`` is a key of the mapping. ``columns`` is merged with the mapping's columns; every other key
    replaces the value of the mapping.

    Attributes:
        match: Name of the file, where ``*`` stands for any characters and ``?`` for one.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    match: str = Field(min_length=1)

    def apply(self, content: dict[str, Any]) -> dict[str, Any]:
        """Replace keys of a mapping by those of the rule.

        Args:
            content: Keys and values of the mapping.

        Returns:
            Keys and values for the matching files.
        """
        rules = self.model_extra or {}
        columns = rules.get("columns")
        merged = content | rules
        if isinstance(columns, dict):
            merged["columns"] = content["columns"] | columns
        return merged


def matches_file(name: str, pattern: str) -> bool:
    """Compare the name of a file with a pattern.

    Args:
        name: Name of the file, or its path within the source.
        pattern: Name, where ``*`` stands for any characters and ``?`` for one; every other character, also a bracket,
            stands for itself. A pattern without ``/`` is compared with the last part of a path.

    Returns:
        True for a match, regardless of case.
    """
    compared = name if "/" in pattern else name.rsplit("/", 1)[-1]
    return re.match(translate(pattern.replace("[", "[[]")), compared, re.IGNORECASE) is not None
