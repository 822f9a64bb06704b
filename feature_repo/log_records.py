"""Log records that forge no line: a message is one record, whatever names and errors it contains."""

import logging
import re
import traceback
from typing import Any

# Control characters, and those that separate lines or reorder the text around them (bidirectional controls).
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_MARK = "_holdfast_protects_lines"


def escape_controls(text: str) -> str:
    r"""Replace control characters by escapes such as ``\x1b``; the result has one line.

    Args:
        text: Any text.

    Returns:
        The text without control characters, line separators and changes of the direction.
    """
    return _CONTROLS.sub(lambda found: repr(found.group())[1:-1] if ord(found.group()) < 0x100 else _code(found), text)


def indent_lines(text: str) -> str:
    """Indent the lines of a text after the first one, and escape its other control characters.

    Args:
        text: Any text.

    Returns:
        The text, of which no line but the first one begins at the margin, as records do.
    """
    first, *others = text.split("\n")
    return "\n".join([escape_controls(first), *(f"    {escape_controls(line)}" for line in others)])


def protect_log_lines() -> None:
    """Protect the records of all loggers of this process, those of libraries too."""
    factory = logging.getLogRecordFactory()
    if getattr(factory, _MARK, False):
        return

    def create(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = factory(*arguments, **options)
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            return record  # the handler reports the wrong call
        if _CONTROLS.search(text):
            record.msg, record.args = indent_lines(text), None
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            record.exc_text = indent_lines("".join(traceback.format_exception(record.exc_info[1])).rstrip("\n"))
        return record

    setattr(create, _MARK, True)
    logging.setLogRecordFactory(create)


def _code(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"
