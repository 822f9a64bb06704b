"""A part of the page that may fail by itself."""

import logging
import re
from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from holdfast.core.errors import HoldfastError

_Value = TypeVar("_Value")
_LOG = logging.getLogger(__name__)
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_CHARACTERS = 400


class Section(BaseModel, Generic[_Value]):
    """What was found, or else why it could not be, in one line."""

    model_config = ConfigDict(frozen=True)

    value: _Value | None = None
    error: str = ""


def load_section(found: Callable[[], _Value]) -> Section[_Value]:
    """What ``found`` returns. Whatever it raises is shown in its place: the rest of the page is still true."""
    try:
        return Section(value=found())
    except HoldfastError as error:
        return Section(error=to_one_line(str(error)))
    except Exception as error:
        _LOG.warning("A part of the page is missing", exc_info=True)
        return Section(error=to_one_line(f"{type(error).__name__}: {error}"))


def to_one_line(text: str) -> str:
    """Short, and without what somebody logs in with."""
    return strip_credentials(" ".join(text.split()))[:_CHARACTERS]


def strip_credentials(text: str) -> str:
    """Addresses in a text without the name and password that they may hold."""
    return _LOGIN.sub("", text)
