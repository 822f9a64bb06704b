"""Sections of the page, which fail independently."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from holdfast.core.errors import HoldfastError
from holdfast.core.redaction import redact_logins

_Value = TypeVar("_Value")
_LOG = logging.getLogger(__name__)
_CHARACTERS = 400


class Section(BaseModel, Generic[_Value]):
    """Value of a section, or the error that prevented it, in one line."""

    model_config = ConfigDict(frozen=True)

    value: _Value | None = None
    error: str = ""


def load_section(load: Callable[[], _Value]) -> Section[_Value]:
    """Load a section; an error becomes its content, so that the other sections are still shown.

    Args:
        load: Returns the value.

    Returns:
        The section.
    """
    try:
        return Section(value=load())
    except HoldfastError as error:
        return Section(error=to_one_line(str(error)))
    except Exception as error:
        _LOG.warning("A section of the status page is missing", exc_info=True)
        return Section(error=to_one_line(f"{type(error).__name__}: {error}"))


def to_one_line(text: str) -> str:
    """Shorten a text to one line of 400 characters, without credentials.

    Args:
        text: For instance an error message.

    Returns:
        The line.
    """
    return redact_logins(" ".join(text.split()))[:_CHARACTERS]
