"""Categories of a text input, and their numbers in the input matrix.

A text becomes a number that depends on the text alone, its code. So the matrix of a customer is the same for every
model version, and nothing is learned before a model is fitted: a fitted model holds the codes of its own categories,
learned from its own rows, and treats every other code as "other".
"""

import hashlib
import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from holdfast.core.types import Floats, Ints

# A float64 holds each integer of 52 bits, and its neighbors are less than 1 away. Two of 300 categories have the same
# code with a probability of 1e-11.
_BITS = 52


@lru_cache(maxsize=4096)  # a text occurs for many customers
def category_code(text: str) -> float:
    """Compute the code of a text: a whole number below 2 ** 52, the same in every process and release.

    Args:
        text: Any text; the empty text is a category too. Texts are equal if their code points are.

    Returns:
        The first 52 bits of the BLAKE2b hash of the text in UTF-8.
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return float(int.from_bytes(digest, "big") >> (64 - _BITS))


def encode_categories(texts: Sequence[Any]) -> Floats:
    """Convert texts to codes.

    Args:
        texts: Texts; None or NaN is missing.

    Returns:
        Code per text, NaN where it is missing, shape (texts,).
    """
    # NaN, with which pandas marks a missing text, differs from itself
    return np.array([math.nan if text is None or text != text else category_code(text) for text in texts], np.float64)


def locate_categories(values: Floats, codes: Floats) -> Ints:
    """Locate values among the categories of a model.

    Args:
        values: Codes of customers, shape (rows,); NaN is missing.
        codes: Codes of the categories, ascending, shape (categories,).

    Returns:
        Position of each value in ``codes``; ``len(codes)`` for any other value and ``len(codes) + 1`` for a missing
        one, shape (rows,).
    """
    other = len(codes)
    found = np.searchsorted(codes, values)
    positions = np.where(np.append(codes, np.nan)[found] == values, found, other)
    return np.where(np.isnan(values), other + 1, positions)


class InputCategories(BaseModel):
    """Categories of one input of a model version.

    Attributes:
        known: Categories with an effect on the score of their own, sorted.
        rare: Categories of too few customers, which the model treats as one, sorted. Texts that occur in neither list
            are new since the training; the model treats them as rare ones.
    """

    model_config = ConfigDict(frozen=True)

    known: tuple[str, ...]
    rare: tuple[str, ...] = ()

    @cached_property
    def texts(self) -> dict[float, str]:
        """Return the code of each category with its text."""
        return {category_code(text): text for text in (*self.known, *self.rare)}
