"""New and vanished categories of a categorical input."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from holdfast.core.types import Floats
from holdfast.models.categories import InputCategories
from holdfast.monitoring.drift.psi import count_categories

# Chance that a category has no customer now although its share is unchanged, below which it has vanished.
_CHANCE = 0.01
_NAMED = 3


@dataclass(frozen=True)
class CategoryChange:
    """Categories that one of two samples lacks.

    Attributes:
        new: Code of each category that the training lacked, with its share of the current customers, largest first.
        vanished: Each known category without a current customer, with its earlier share, largest first.
    """

    new: dict[float, float]
    vanished: dict[str, float]

    @property
    def new_share(self) -> float:
        """Return the share of the current customers with a new category."""
        return sum(self.new.values())

    def describe(self, texts: Mapping[float, str]) -> str:
        """Describe the change.

        Args:
            texts: Code to text; a code without text is an unknown text.

        Returns:
            Text such as "new: Spain (4.0%); vanished: Malta (was 3.1%)"; "" without a change.
        """
        new = [f"{texts.get(code, 'an unknown text') or 'empty'} ({share:.1%})" for code, share in self.new.items()]
        vanished = [f"{text or 'empty'} (was {share:.1%})" for text, share in self.vanished.items()]
        parts = {"new": new, "vanished": vanished}
        return "; ".join(f"{name}: {_join(items)}" for name, items in parts.items() if items)


def find_category_change(reference: Floats, current: Floats, categories: InputCategories) -> CategoryChange:
    """Find the new and the vanished categories of an input.

    Args:
        reference: Codes of the population at training, shape (customers,); NaN is missing.
        current: Codes of the current customers, shape (customers,).
        categories: Categories of the model version.

    Returns:
        The change.
    """
    codes, counts = np.unique(current[~np.isnan(current)], return_counts=True)
    new = {
        float(codes[i]): counts[i] / len(current)
        for i in np.argsort(-counts, kind="stable")
        if float(codes[i]) not in categories.texts
    }
    before = count_categories(reference, categories) / max(1, len(reference))
    now = count_categories(current, categories)
    vanished = {
        text: float(share)
        for text, share, rows in zip(categories.known, before, now, strict=False)
        if rows == 0 and (1 - share) ** len(current) < _CHANCE
    }
    return CategoryChange(new, dict(sorted(vanished.items(), key=lambda item: -item[1])))


def _join(items: list[str]) -> str:
    return ", ".join(items[:_NAMED]) + (f" and {len(items) - _NAMED} more" if len(items) > _NAMED else "")
