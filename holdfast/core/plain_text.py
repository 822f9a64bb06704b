"""Texts from data, registries and persons as literal text, in Markdown and in lines.

A name, a reason or a file name is never a link, an image, a tag or a line of its own where it is shown.
"""

import re

from feature_repo.log_records import escape_controls

_SPECIAL = re.compile(r"([\\`*\[\]<>&|~!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_PROSE = re.compile(r"([\\*\[\]<>&|~!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")  # code spans of own texts stay
_BLOCK = re.compile(r"```|(?:#{1,6}|[+=-]+)(?=\s|$)|(?:[-=]\s*)+$")
_NUMBER = re.compile(r"(\d{1,9})([.)])(?=\s|$)")


def to_line(text: object) -> str:
    """Convert a text to one line without control characters and without characters that change the direction.

    Args:
        text: Any text.

    Returns:
        The line, with one space for each run of white space.
    """
    return escape_controls(" ".join(str(text).split()))


def escape_markdown(text: object) -> str:
    """Escape a value for Markdown: it is shown as it is, whatever it contains.

    Args:
        text: Any text.

    Returns:
        Markdown of one line, also for a cell of a table.
    """
    return _escape(to_line(text), _SPECIAL)


def escape_prose(text: str) -> str:
    """Escape own sentences that contain values, and keep their paragraphs and code spans.

    Args:
        text: Paragraphs, separated by empty lines.

    Returns:
        Markdown without links, images and tags.
    """
    return "\n\n".join(_escape(to_line(part), _PROSE) for part in re.split(r"\n\s*\n", text))


def fence(text: str, language: str = "") -> str:
    """Show lines as code.

    Args:
        text: Any lines.
        language: Language of the code.

    Returns:
        A fenced block of Markdown, whose fence is longer than any in the text.
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    lines = "\n".join(escape_controls(line) for line in text.splitlines())
    return f"{marks}{language}\n{lines}\n{marks}"


def _escape(line: str, special: re.Pattern[str]) -> str:
    escaped = special.sub(r"\\\1", line)
    if escaped.startswith("\\"):
        return escaped
    if _BLOCK.match(line):  # a heading, a list, a line across, a fence
        return f"\\{escaped}"
    return _NUMBER.sub(r"\1\\\2", escaped, count=1) if _NUMBER.match(line) else escaped
