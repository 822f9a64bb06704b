"""Exact reasons: what each input adds to a score, for models that are additive in log-odds.

An additive model's score is that of a reference ``r`` plus one term per input:
``f(x) = f(r) + sum_j [f(r with x_j) - f(r)]``. These are its Shapley values for the one reference (Lundberg and Lee,
2017), without approximation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats

# Above rounding, far below what anybody could call a reason.
TOLERANCE = 1e-9
_CHUNK = 256  # customers per call of the model: 18 inputs make about 5,000 rows of them


class NotAdditiveError(HoldfastError):
    """The terms of a model do not add up to its score, so reasons made of them would be false."""


@dataclass(frozen=True)
class Contributions:
    """Log-odds of churn and what they are made of: ``log_odds[i] == base + values[i].sum()``.

    ``base`` is the reference's; ``log_odds`` has shape (rows,), ``values`` (rows, inputs).
    """

    base: float
    log_odds: Floats
    values: Floats


def compute_contributions(
    decision_function: Callable[[Floats], Floats], x: Floats, reference: Sequence[float | None] | Floats
) -> Contributions:
    """What each input of each row adds to its log-odds, compared with the reference.

    Args:
        decision_function: Matrix (rows, inputs) to log-odds (rows,), before any calibration.
        x: Shape (rows, inputs), at least one row; NaN is missing.
        reference: The typical customer, one value per input; None or NaN is missing.

    Raises:
        NotAdditiveError: For any of the rows the terms do not add up to the score. Every row is checked.
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
    """Check that ``base`` and each row of ``values`` (rows, inputs) add up to ``log_odds`` (rows,).

    A difference is allowed within 1e-9 of the magnitude of the terms, which is what rounding can do.

    Raises:
        NotAdditiveError: They do not, or are not finite.
    """
    total = base + values.sum(axis=1)
    magnitude = 1 + np.abs(base) + np.abs(values).sum(axis=1)
    wrong = ~(np.isfinite(magnitude) & (np.abs(total - log_odds) <= TOLERANCE * magnitude))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise NotAdditiveError(
            f"The model's score is no sum over its inputs: row {row} has log-odds {log_odds[row]:.6g}, but its inputs "
            f"one by one make {total[row]:.6g}. Reasons would be false, so none are given. Train a model without "
            'interactions (boosting: interaction_cst="no_interactions").'
        )


def _scores(decision_function: Callable[[Floats], Floats], x: Floats, typical: Floats) -> tuple[float, Floats, Floats]:
    """One call of the model scores the reference, the rows, and the reference with each input of each row."""
    rows, inputs = x.shape
    each = np.tile(typical, (rows, inputs, 1))
    each[:, range(inputs), range(inputs)] = x
    scores = decision_function(np.vstack([typical, x, each.reshape(-1, inputs)]))
    base = float(scores[0])
    with np.errstate(invalid="ignore"):  # infinity less infinity: refused later, in words
        return base, scores[1 : 1 + rows], scores[1 + rows :].reshape(rows, inputs) - base
