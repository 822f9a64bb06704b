"""Encodings that contradict the bytes of a file, wherever the contradiction stands."""

import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.reading.text_encoding import decode_text

BLOCK = 256 * 1024  # bytes that are examined at once


@pytest.mark.parametrize("position", [0, 7, BLOCK - 1, BLOCK, 2 * BLOCK + 3])
@pytest.mark.parametrize("byte", [0x80, 0x9F])
def test_decode_text_control_of_latin_1_is_noted_with_its_line(position: int, byte: int) -> None:
    content = b"\n" * position + bytes([byte]) + b"\xa0\xff\x7f\n\x85"
    text, notes = decode_text("a.csv", content, "iso8859-1")
    assert text == content.decode("latin-1").encode()
    assert len(notes) == 1
    assert f"line {position + 1} has the byte 0x{byte:02x}" in notes[0]


def test_decode_text_latin_1_without_controls_has_no_note() -> None:
    content = bytes([*range(1, 0x80), *range(0xA0, 0x100)]) * 3000
    assert decode_text("a.csv", content, "iso8859-1") == (content.decode("latin-1").encode(), ())


@pytest.mark.parametrize("position", [0, BLOCK - 1, BLOCK, 2 * BLOCK - 2])
def test_decode_text_utf_8_is_no_single_byte_encoding(position: int) -> None:
    content = b"a" * position + "é€".encode() + b"\n"
    with pytest.raises(IngestError, match=r"is utf-8 text, not cp1252: line 1 reads .*é€"):
        decode_text("a.csv", content, "cp1252")
    whole, _ = decode_text("a.csv", content + b"\xe9", "cp1252")  # cut within a character: not UTF-8
    assert whole.decode().endswith("é")
