"""Encoding of text files: UTF-8 out of any encoding, or an error that names the one that fits."""

import codecs
import re

import charset_normalizer
import numpy as np

from holdfast.core.errors import IngestError

_SAMPLE = 1024 * 1024
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8"} | {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_ENCODINGS = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "cp949", "mac_roman")
_SINGLE_BYTE = re.compile(r"^(?:iso8859-\d+|cp125\d|cp437|cp85\d|mac-.*|koi8-.*)$")
_BLOCK = 256 * 1024


def decode_text(name: str, content: bytes, encoding: str) -> tuple[bytes, tuple[str, ...]]:
    """Re-encode text as UTF-8 without a byte order mark.

    Args:
        name: Name of the file, for error messages.
        content: Bytes of the file.
        encoding: Encoding of the mapping; a UTF-16 byte order mark overrides ``utf-8``.

    Returns:
        UTF-8 text, and notes for the person who ingests the source.

    Raises:
        IngestError: The bytes are no text in this encoding, or evidently text in another one.
    """
    notes: tuple[str, ...] = ()
    mark = next((mark for mark in _MARKS if content.startswith(mark)), None)
    if mark is not None:
        marked = _MARKS[mark]
        if encoding == "utf-8" and marked != "utf-8":
            encoding = marked
            notes = (f"{name} was read as {marked}, which its byte order mark gives.",)
        elif not encoding.startswith(marked) and encoding != "utf-8-sig":
            raise IngestError(
                f"{name} is {marked} text, as its byte order mark shows, not {encoding}. "
                f"Set `encoding: {marked}` in the mapping."
            )
        if marked == "utf-8":
            content = content[len(mark) :]
    if _SINGLE_BYTE.match(encoding) and not content.isascii():
        _reject_utf8(name, content, encoding)
        if encoding == "iso8859-1" and (position := _find_c1_control(content)) is not None:
            notes += (_describe_control(name, content, position),)
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        raise _describe_error(name, content, encoding, error) from error
    if "\x00" in text:
        raise IngestError(_describe_nul(name, content, text))
    return (content if encoding in ("utf-8", "utf-8-sig") else text.removeprefix("\ufeff").encode()), notes


def _line_number(content: bytes, position: int) -> int:
    return len(content[:position].splitlines()) + (position == 0 or content[position - 1 : position] in (b"\n", b"\r"))


def _line(content: bytes, position: int) -> bytes:
    """Return the line around a position, at most 200 bytes of it."""
    start = max(content.rfind(b"\n", 0, position) + 1, position - 100)
    return content[start : start + 200].split(b"\n")[0].strip()


def _reject_utf8(name: str, content: bytes, encoding: str) -> None:
    """Reject UTF-8 text that the mapping declares as a single-byte encoding: every byte would pass, wrongly read."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), _BLOCK):  # the error of a decoder holds a copy of the bytes
            decoder.decode(content[start : start + _BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return
    position = next(i for i, byte in enumerate(content) if byte >= 0x80)
    line = _line(content, position)
    raise IngestError(
        f"{name} is utf-8 text, not {encoding}: line {_line_number(content, position)} reads "
        f"{line.decode('utf-8', 'ignore')!r} as utf-8 and {line.decode(encoding, 'replace')!r} as {encoding}. "
        "Set `encoding: utf-8` in the mapping."
    )


def _find_c1_control(content: bytes) -> int | None:
    """Find the first byte from 0x80 to 0x9f."""
    values = np.frombuffer(content, dtype=np.uint8)
    for start in range(0, len(values), _BLOCK):
        found = values[start : start + _BLOCK] - np.uint8(0x80) < 0x20  # lower bytes wrap around
        if found.any():
            return start + int(np.argmax(found))
    return None


def _describe_control(name: str, content: bytes, position: int) -> str:
    return (
        f"{name}: line {_line_number(content, position)} has the byte 0x{content[position]:02x}, a control character "
        f"in latin-1. As cp1252 it reads {_line(content, position).decode('cp1252', 'replace')!r}: set "
        "`encoding: cp1252` in the mapping if that is right."
    )


def _describe_error(name: str, content: bytes, encoding: str, error: UnicodeError) -> IngestError:
    position = getattr(error, "start", 0)
    line = _line_number(content, position)
    if getattr(error, "end", 0) == len(content) and "data" in getattr(error, "reason", ""):
        return IngestError(
            f"{name} ends within a character, in line {line}: the file was cut or is still being written. "
            "Copy it again when it is complete."
        )
    if utf16 := _utf16_variant(content):
        return IngestError(f"{name} is {utf16} text without a byte order mark. Set `encoding: {utf16}` in the mapping.")
    if b"\x00" in content[:_SAMPLE]:
        return IngestError(f"{name} is binary, not a table of text. Give a CSV, Parquet or Excel file.")
    readings = _readings(_line(content, position))
    best = next(iter(readings), "cp1252")
    described = ", ".join(f"{text!r} as {encoding}" for encoding, text in readings.items())
    return IngestError(
        f"{name} is not {encoding} text: line {line} has the byte 0x{content[position]:02x}. The line reads "
        f"{described}. Set `encoding:` in the mapping to the right one, perhaps {best}; others are latin-1 and utf-16."
    )


def _describe_nul(name: str, content: bytes, text: str) -> str:
    if utf16 := _utf16_variant(content):
        return f"{name} is {utf16} text without a byte order mark. Set `encoding: {utf16}` in the mapping."
    if "\x00" not in text.rstrip("\x00"):
        return f"{name} ends with NUL characters: its copy was interrupted or is not finished. Copy it again."
    line = text.count("\n", 0, text.index("\x00")) + 1
    return (
        f"{name} contains NUL characters, the first in line {line}: it is binary, damaged or in another encoding. "
        "Export it again, or set `encoding:` in the mapping, for example utf-16."
    )


def _utf16_variant(content: bytes) -> str | None:
    """Recognize Latin text in UTF-16 by the zeros in every second byte."""
    sample = content[:4096]
    for first, variant in ((1, "utf-16-le"), (0, "utf-16-be")):
        half, other = sample[first::2], sample[1 - first :: 2]
        if len(half) > 4 and half.count(0) > 0.7 * len(half) and other.count(0) < 0.1 * len(other):
            return variant
    return None


def _readings(line: bytes) -> dict[str, str]:
    """Return a line in the encodings that are likely, most likely first."""
    guess = charset_normalizer.from_bytes(line * 3, cp_isolation=list(_ENCODINGS)).best()
    order = ["cp1252", guess.encoding] if guess is not None else ["cp1252"]
    if not _is_western(line) and guess is not None:
        order.reverse()
    readings: dict[str, str] = {}
    for encoding in [*order, "cp1250", "cp1251"]:
        text = line.decode(encoding, "replace")
        if "\ufffd" not in text and text not in readings.values() and len(readings) < 3:
            readings[encoding] = text
    return readings


def _is_western(line: bytes) -> bool:
    """Return True for words mostly of ASCII letters with a few others between, as in Western European languages."""
    words = [word for word in re.split(rb"[\x00-\x40\x5b-\x60\x7b-\x7f]+", line) if not word.isascii()]
    letters = sum(map(len, words))
    return letters > 0 and sum(byte >= 0x80 for word in words for byte in word) < 0.5 * letters
