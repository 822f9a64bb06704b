"""Detection of encoding, delimiter and quoting of a text file."""

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from charset_normalizer import from_bytes

from holdfast.inspection.words import NAMES_IN_OTHER_SCRIPTS, WORDS_BY_ENCODING, to_plain_text

_SAMPLE_LINES = 2000
_HEAD, _MIN_KNOWN_WORDS = 4096, 2
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", "^": "caret", "~": "tilde"}
_SEPARATOR_LINE = re.compile(r"^sep=.\r?\n")
_TITLE_LINES = 50
_COMPARED_LINES = 19
_VALUE = re.compile(r"^[-+]?[\d.,]*\d$|^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b")
_DEFAULT_ENCODING = "cp1252"
_ALPHABETS = ("cp1250", "cp1251", "cp1253", "cp1254", "cp1257")
_SYMBOLS = frozenset("€£°§")
_LOOKALIKES = ("cp1252", "cp1250", "cp1254", "iso8859-15")
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class Encoding:
    """Encoding of a text file.

    Attributes:
        name: Name of the encoding.
        reason: Evidence.
        alternatives: Other encodings that the bytes allow; empty where the encoding is certain.
    """

    name: str
    reason: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Layout of a text file.

    Attributes:
        delimiter: One character, or ``whitespace``; "" where no delimiter makes a table.
        quoted: Whether the character ``"`` quotes values.
        reason: Evidence for the delimiter.
        skip_rows: Lines above the header.
        column_names: Names for a file whose first line is a row; empty with a header.
    """

    delimiter: str
    quoted: bool
    reason: str
    skip_rows: int = 0
    column_names: tuple[str, ...] = ()


def detect_encoding(content: bytes) -> Encoding:
    """Detect the encoding of a text.

    Args:
        content: Bytes of the file, decompressed.

    Returns:
        Encoding with its evidence.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return Encoding(name, "the file begins with a byte order mark")
    try:
        content.decode("utf-8")
        if b"\x00" not in content[:4096]:
            return Encoding("utf-8", "all bytes are UTF-8")
    except UnicodeDecodeError:
        pass
    head = content[:4096]
    if head[1::2].count(0) > len(head) * 0.35:
        return Encoding("utf-16-le", "every second byte is zero")
    if head[::2].count(0) > len(head) * 0.35:
        return Encoding("utf-16-be", "every second byte is zero")
    lines = [line for line in content.splitlines() if not line.isascii()][:_SAMPLE_LINES]
    words = [word for line in lines for word in re.findall(rb"[A-Za-z\x80-\xff]+", line) if not word.isascii()]
    for name, words_of_names in WORDS_BY_ENCODING.items():
        header = to_plain_text(lines[0].decode(name, errors="replace")).lower() if lines else ""
        found = sorted(set(re.findall(r"[a-z]+", header)) & set(words_of_names))
        if len(found) >= _MIN_KNOWN_WORDS and _decode_all([content], name) is not None:
            return Encoding(name, f"not UTF-8; the names of its columns have {', '.join(found)}")
    if words and all(_is_latin(word) for word in words):
        same = [name for name in _LOOKALIKES if _decode_all(words, name) == _decode_all(words, _DEFAULT_ENCODING)]
        others = () if len(same) == len(_LOOKALIKES) else tuple(n for n in _LOOKALIKES if n not in same)
        return Encoding(_DEFAULT_ENCODING, f"not UTF-8; words such as {_show(words, _DEFAULT_ENCODING)}", others)
    ranked = [match.encoding for match in from_bytes(b"\n".join(lines))]
    names = list(dict.fromkeys([*(codecs.lookup(name).name for name in ranked), _DEFAULT_ENCODING]))
    names = list(dict.fromkeys([*names, *_ALPHABETS]))
    names = [name for name in names if _decode_all([content], name) is not None] or ["latin-1"]
    names = [name for name in names if all(_is_word(word, name) for word in words)] or names
    known = {name: _count_known_words(content[:_HEAD], name) for name in names}
    names.sort(key=lambda name: -known[name])
    if known[names[0]] >= _MIN_KNOWN_WORDS and not any(known[name] for name in names[1:]):
        return Encoding(names[0], f"not UTF-8; the names of its columns read in {names[0]} only")
    return Encoding(names[0], f"not UTF-8; {_show(words, names[0])} read best", tuple(names[1:4]))


def _count_known_words(head: bytes, name: str) -> int:
    """Count the words of other scripts, known from names of columns, in the first bytes of a file."""
    text = head.decode(name, errors="ignore")
    return sum(word in text for word in NAMES_IN_OTHER_SCRIPTS)


def _is_latin(word: bytes) -> bool:
    """Return whether a word has ASCII letters and, beside them, only letters or symbols in the default encoding."""
    text = word.decode(_DEFAULT_ENCODING, errors="replace")
    if text in _SYMBOLS:
        return True
    text = text.rstrip("°")  # N° of a French or Italian header
    return text.isalpha() and "\ufffd" not in text and any(letter.isascii() for letter in text)


def _is_word(word: bytes, name: str) -> bool:
    """Return whether a word has letters of one alphabet, capitals at its beginning only or throughout."""
    text = word.decode(name, errors="replace")
    alphabets = {unicodedata.name(letter, "?").split()[0] for letter in text}
    return text.isalpha() and len(alphabets) == 1 and (text[1:].islower() or len(text) == 1 or text.isupper())


def _decode_all(words: list[bytes], name: str) -> list[str] | None:
    try:
        return [word.decode(name) for word in words]
    except (UnicodeError, LookupError):
        return None


def _show(words: list[bytes], name: str) -> str:
    distinct = list(dict.fromkeys(words))[:3]
    return ", ".join(repr(word.decode(name, errors="replace")) for word in distinct)


def detect_layout(text: str) -> Layout:
    """Detect delimiter, quoting and header: the delimiter that gives most lines the same number of fields.

    Args:
        text: First lines of the file, without a cut last line.

    Returns:
        Layout; without a delimiter where the file has one column only.
    """
    lines = _SEPARATOR_LINE.sub("", text.lstrip("\r\n")).splitlines(keepends=True)[:_SAMPLE_LINES]
    sample = "".join(lines)
    best, best_score = Layout("", True, "one column only"), 0.0
    for delimiter, name in _DELIMITERS.items():
        for quoted in (True, False):
            share, fields = _score_delimiter(sample, delimiter, quoted)
            # A header of two fields may be chance, a header of ten is not; quoting is the default.
            score = share * (1 - 1 / (fields + 1)) + (0.001 if quoted else 0) if fields > 1 else 0.0
            if score > best_score + 1e-9:
                best_score = score
                reason = f"{name}: {share:.0%} of the first {len(lines):,} lines have {fields} fields"
                best = Layout(delimiter, quoted, reason)
    if best_score < 0.5:
        counts = Counter(len(line.split()) for line in lines if line.strip())
        fields, rows = counts.most_common(1)[0] if counts else (0, 0)
        if fields > 1 and rows >= 0.9 * sum(counts.values()) and len(lines[0].split()) == fields:
            split = [line.split() for line in lines if line.strip()]
            names = _name_columns(split[0], split[1:], fields)
            return Layout("whitespace", False, f"blanks: lines have {fields} fields", column_names=names)
    blank = text[: len(text) - len(text.lstrip("\r\n"))].count("\n")
    found = _find_header(lines, best) if best.delimiter else best
    return replace(found, skip_rows=found.skip_rows + blank) if found.skip_rows else found


def _find_header(lines: list[str], layout: Layout) -> Layout:
    """Find the lines above the header, and name the columns of a file without one."""
    rows = list(_read_rows("".join(lines), layout.delimiter, layout.quoted))
    usual = Counter(len(row) for row in rows if len(row) > 1).most_common(1)[0][0]
    first = next(i for i, row in enumerate(rows) if len(row) == usual)
    skipped = 0
    if 0 < first <= _TITLE_LINES:  # titles have no line ends within a value: count lines
        counts = [len(next(_read_rows(line, layout.delimiter, layout.quoted), [])) for line in lines]
        skipped = counts.index(usual)
    return replace(layout, skip_rows=skipped, column_names=_name_columns(rows[first], rows[first + 1 :], usual))


def _name_columns(first: list[str], following: list[list[str]], fields: int) -> tuple[str, ...]:
    """Name the columns of a file whose first line is a row: it has values where the lines below have some."""
    below = [row for row in following[:_COMPARED_LINES] if len(row) == fields]
    valued = [i for i, cell in enumerate(first) if _VALUE.match(cell.strip())]
    alike = [i for i in valued if all(_VALUE.match(row[i].strip()) for row in below)]
    return tuple(f"column {i}" for i in range(1, fields + 1)) if below and len(alike) >= 2 else ()


def _score_delimiter(sample: str, delimiter: str, quoted: bool) -> tuple[float, int]:
    """Return the share of rows with as many fields as the header, and that number."""
    try:
        counts = [len(row) for row in _read_rows(sample, delimiter, quoted) if row]
    except csv.Error:
        return 0.0, 0
    if not counts:
        return 0.0, 0
    lines = sample.count("\n") + (not sample.endswith("\n"))
    usual = Counter(count for count in counts if count > 1).most_common(1)
    fields = usual[0][0] if usual and counts.index(usual[0][0]) <= _TITLE_LINES else counts[0]
    above = counts[: counts.index(fields)] if fields in counts else []
    if any(count > 1 and count >= 0.6 * fields for count in above):  # a header that does not fit, no title
        return 0.0, 0
    fitting = sum(count == fields for count in counts)
    # A stray quote swallows lines: they count as not fitting unless most values are quoted.
    swallowed = max(0, lines - len(counts)) if quoted and sample.count('"') < len(counts) else 0
    return fitting / (len(counts) + swallowed), fields


def _read_rows(text: str, delimiter: str, quoted: bool) -> Iterator[list[str]]:
    lines = io.StringIO(text, newline="")
    if quoted:
        return csv.reader(lines, delimiter=delimiter)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
