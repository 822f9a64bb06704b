"""Steps of a fitted pipeline that replace codes of categories by what a model can weigh.

Columns that are no categories stay as they are.
"""

from collections.abc import Sequence

import numpy as np

from holdfast.core.types import Floats
from holdfast.models.categories import locate_categories


def indicate_categories(x: Floats, columns: Sequence[int], codes: Sequence[Floats]) -> Floats:
    """Replace codes by indicators, of which one is 1, for a linear model.

    The column of an input becomes the indicator of other categories; those of its categories, in their order, and of a
    missing value follow the inputs.

    Args:
        x: Inputs, shape (rows, inputs); NaN is missing.
        columns: Columns of the categorical inputs.
        codes: Codes of the categories per categorical input, ascending.

    Returns:
        Matrix of shape (rows, inputs and indicators), without missing values in the indicators.
    """
    parts = [x.copy()]
    for column, known in zip(columns, codes, strict=True):
        positions = locate_categories(x[:, column], known)
        parts[0][:, column] = positions == len(known)
        parts.append(positions[:, np.newaxis] == [*range(len(known)), len(known) + 1])
    return np.hstack(parts, dtype=np.float64)


def rank_categories(x: Floats, columns: Sequence[int], codes: Sequence[Floats], ranks: Sequence[Floats]) -> Floats:
    """Replace codes by ranks, for trees; a missing value stays missing.

    Args:
        x: Inputs, shape (rows, inputs); NaN is missing.
        columns: Columns of the categorical inputs.
        codes: Codes of the categories per categorical input, ascending.
        ranks: Rank per category, then that of other categories, per categorical input.

    Returns:
        Matrix of the same shape.
    """
    ranked = x.copy()
    for column, known, of_known in zip(columns, codes, ranks, strict=True):
        ranked[:, column] = np.append(of_known, np.nan)[locate_categories(x[:, column], known)]
    return ranked
