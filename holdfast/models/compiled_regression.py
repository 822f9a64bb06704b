"""Compiled regression: predicts a few rows in microseconds, with the same bits in every batch.

scikit-learn's matrix products have no fixed order of summation, so that a row alone and the row in a table could differ
in the last bits. The Tweedie regression and boosting of holdfast.training are compiled to the terms of their log link.
BG/NBD with Gamma-Gamma computes row by row already. Any other regression is used as it is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.core.types import Floats
from holdfast.models.additive_terms import LinearTerms, StepTerms
from holdfast.models.compiled_scorer import ScorerMismatchError, contiguous_inputs, require_finite
from holdfast.models.term_extraction import extract_linear_terms, extract_step_terms

_TOLERANCE = 1e-9  # of the size of a prediction


@dataclass(frozen=True)
class CompiledRegression:
    """Fitted regression with a log link, as arrays. Threads may share it.

    Attributes:
        terms: Terms of the logarithm of the prediction.
    """

    terms: LinearTerms | StepTerms

    @classmethod
    def from_estimator(cls, estimator: Any, inputs: int) -> "CompiledRegression | None":
        """Compile a fitted regression.

        Args:
            estimator: Any fitted estimator.
            inputs: Number of inputs that the model must have.

        Returns:
            The compiled form; None for an unsupported model.
        """
        try:
            terms = extract_linear_terms(estimator, "tweedie") or extract_step_terms(estimator, "poisson")
        except AttributeError:  # not fitted, or renamed in another release of scikit-learn
            return None
        return cls(terms) if terms is not None and terms.inputs == inputs else None

    def predict(self, inputs: Floats) -> Floats:
        """Compute predictions.

        Args:
            inputs: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Predictions, shape (rows,).

        Raises:
            InfiniteInputError: A value is infinite, and the model cannot score it.
        """
        return np.exp(require_finite(self.terms.log_odds(contiguous_inputs(inputs, self.terms.inputs))))


def verify_regression(estimator: Any, compiled: CompiledRegression, rows: Floats) -> None:
    """Compare a compiled regression with its model, on given rows and on rows that use every number.

    Args:
        estimator: The fitted model.
        compiled: Its compiled form.
        rows: Inputs, shape (rows, inputs); there may be none.

    Raises:
        ScorerMismatchError: A prediction differs by more than 1e-9 of its size.
    """
    x = np.vstack([np.reshape(rows, (-1, compiled.terms.inputs)), compiled.terms.probe_rows()])
    expected, found = estimator.predict(x), compiled.predict(x)
    wrong = ~((np.abs(found - expected) <= _TOLERANCE * (1 + np.abs(expected))) | (found == expected))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ScorerMismatchError(
            f"The compiled prediction of row {row} is {found[row]!r}, the model's {expected[row]!r} "
            f"({int(wrong.sum())} of {len(x)} rows differ). Predict with the model itself, and report this."
        )
