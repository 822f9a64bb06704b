"""Exact contributions of inputs to a score in log-odds: Shapley values for a single reference (Lundberg and Lee, 2017).

The score of an additive model is the score of a reference ``r`` plus one term per input:
``f(x) = f(r) + sum_j [f(r with x_j) - f(r)]``, and the terms are the Shapley values. Of inputs that interact, if there
are few of them, the Shapley values are computed from every subset. Neither is an approximation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb

import numpy as np

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats

# Above rounding errors, far below the size of a reason.
TOLERANCE = 1e-9
_CHUNK = 256  # customers per call of the model, which scores about 6,000 rows for 21 inputs


class NotAdditiveError(HoldfastError):
    """Model whose contributions do not sum to its score, so that reasons would be false."""


@dataclass(frozen=True)
class Contributions:
    """Log-odds of churn and their parts: ``log_odds[i] == base + values[i].sum()``.

    Attributes:
        base: Log-odds of the reference.
        log_odds: Log-odds, shape (rows,).
        values: Contributions, shape (rows, inputs).
    """

    base: float
    log_odds: Floats
    values: Floats


def compute_contributions(
    decision_function: Callable[[Floats], Floats],
    x: Floats,
    reference: Sequence[float | None] | Floats,
    interacting: Sequence[int] = (),
) -> Contributions:
    """Compute the contribution of each input to the log-odds of each row, relative to the reference.

    Args:
        decision_function: Function from inputs (rows, inputs) to log-odds (rows,) before calibration.
        x: Inputs, shape (rows, inputs), at least one row; NaN is missing.
        reference: Value per input of the typical customer; None or NaN is missing.
        interacting: Columns of the inputs that may interact with each other; the time doubles with each of them.

    Returns:
        The contributions.

    Raises:
        NotAdditiveError: The contributions of a row do not sum to its log-odds. Every row is checked.
    """
    typical = np.array(reference, dtype=np.float64)  # None becomes NaN
    if typical.shape != x.shape[1:]:
        raise ValueError(f"The reference has {typical.size} values, the rows have {x.shape[1]} inputs.")
    parts = [_scores(decision_function, x[i : i + _CHUNK], typical) for i in range(0, len(x), _CHUNK)]
    bases, log_odds_parts, value_parts = zip(*parts, strict=True)
    base, log_odds, values = bases[0], np.concatenate(log_odds_parts), np.concatenate(value_parts)
    if interacting:
        columns = list(interacting)
        values[:, columns] = shapley_values(decision_function, x, typical, columns)[:, columns]
    require_additive(base, log_odds, values)
    return Contributions(base, log_odds, values)


def shapley_values(
    decision_function: Callable[[Floats], Floats], x: Floats, reference: Floats, columns: Sequence[int]
) -> Floats:
    """Compute the Shapley values of interacting inputs from all subsets of them.

    Args:
        decision_function: Function from inputs (rows, inputs) to log-odds (rows,).
        x: Inputs, shape (rows, inputs).
        reference: Reference value per input, shape (inputs,).
        columns: Columns of the interacting inputs.

    Returns:
        Shapley values, shape (rows, inputs); zero outside ``columns``.
    """
    parts = [x[start : start + _CHUNK] for start in range(0, len(x), _CHUNK)]
    found = [_shapley_values(decision_function, part, reference, columns) for part in parts]
    return np.concatenate(found) if found else np.zeros(x.shape)


def _shapley_values(
    decision_function: Callable[[Floats], Floats], x: Floats, reference: Floats, columns: Sequence[int]
) -> Floats:
    subsets = list(product((False, True), repeat=len(columns)))
    mixed = np.tile(reference, (len(subsets), len(x), 1))
    for subset, rows in zip(subsets, mixed, strict=True):
        taken = [column for column, is_taken in zip(columns, subset, strict=True) if is_taken]
        rows[:, taken] = x[:, taken]
    scores = decision_function(mixed.reshape(-1, x.shape[1])).reshape(len(subsets), len(x))
    by_subset = dict(zip(subsets, scores, strict=True))
    values = np.zeros(x.shape)
    for position, column in enumerate(columns):
        for subset in subsets:
            if not subset[position]:
                weight = 1 / (len(columns) * comb(len(columns) - 1, sum(subset)))
                joined = (*subset[:position], True, *subset[position + 1 :])
                values[:, column] += weight * (by_subset[joined] - by_subset[subset])
    return values


def require_additive(base: float, log_odds: Floats, values: Floats) -> None:
    """Require that the contributions of each row sum to its log-odds, within 1e-9 of the size of the terms.

    Args:
        base: Log-odds of the reference.
        log_odds: Log-odds, shape (rows,).
        values: Contributions, shape (rows, inputs).

    Raises:
        NotAdditiveError: A sum differs or is not finite.
    """
    total = base + values.sum(axis=1)
    magnitude = 1 + np.abs(base) + np.abs(values).sum(axis=1)
    wrong = ~(np.isfinite(magnitude) & (np.abs(total - log_odds) <= TOLERANCE * magnitude))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise NotAdditiveError(
            f"The model is not additive: row {row} has log-odds {log_odds[row]:.6g}, but the contributions of its "
            f"inputs sum to {total[row]:.6g}. Reasons would be false and are not returned. Train a model without "
            'interactions (boosting: interaction_cst="no_interactions").'
        )


def _scores(decision_function: Callable[[Floats], Floats], x: Floats, typical: Floats) -> tuple[float, Floats, Floats]:
    """Score, in one call, the reference, the rows, and the reference with each input of each row."""
    rows, inputs = x.shape
    each = np.tile(typical, (rows, inputs, 1))
    each[:, range(inputs), range(inputs)] = x
    scores = decision_function(np.vstack([typical, x, each.reshape(-1, inputs)]))
    base = float(scores[0])
    with np.errstate(invalid="ignore"):  # infinity less infinity is rejected later
        return base, scores[1 : 1 + rows], scores[1 + rows :].reshape(rows, inputs) - base
