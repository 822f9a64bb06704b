"""Settings of the text of a source: time zone, encoding and delimiter."""

import codecs
import re
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        fixed = re.fullmatch(r"(?:UTC|GMT)?([+-])0?(\d{1,2})(?::?00)?", value)
        sign = {"+": "-", "-": "+"}
        hint = f"; the IANA name of this offset is Etc/GMT{sign[fixed[1]]}{fixed[2]}" if fixed else ""
        raise ValueError(f"{value!r} is not an IANA time zone; an example: Europe/London{hint}") from None
    return value


def _check_encoding(value: str) -> str:
    try:
        "".encode(value)
        return codecs.lookup(value).name
    except LookupError:
        raise ValueError(f"{value!r} is not an encoding Python knows; examples: utf-8, latin-1") from None


def _check_delimiter(value: str) -> str:
    if value != "whitespace" and (len(value) != 1 or not value.isascii() or value in '"\r\n'):
        raise ValueError(f"{value!r} must be one character, or the word whitespace")
    return value


TimeZone = Annotated[str, AfterValidator(_check_zone)]
Encoding = Annotated[str, AfterValidator(_check_encoding)]
Delimiter = Annotated[str, AfterValidator(_check_delimiter)]
