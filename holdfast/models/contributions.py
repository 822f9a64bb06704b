"""Exact contributions of inputs to a score, for models that are additive in log-odds.

The score of an additive model is the score of a reference ``r`` plus one term per input:
``f(x) = f(r) + sum_j [f(r with x_j) - f(r)]``. The terms are the Shapley values for a single reference (Lundberg and
Lee, 2017), without approximation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats

# Above rounding errors, far below the size of a reason.
TOLERANCE = 1e-9
_CHUNK = 256  # customers per call of the model, which scores about 5,000 rows for 18 inputs


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
    decision_function: Callable[[Floats], Floats], x: Floats, reference: Sequence[float | None] | Floats
) -> Contributions:
    """Compute the contribution of each input to the log-odds of each row, relative to the reference.

    Args:
        decision_function: Function from inputs (rows, inputs) to log-odds (rows,) before calibration.
        x: Inputs, shape (rows, inputs), at least one row; NaN is missing.
        reference: Value per input of the typical customer; None or NaN is missing.

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
    require_additive(base, log_odds, values)
    return Contributions(base, log_odds, values)


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
