"""Compiled scorer: scores a few rows in microseconds, with the results of scikit-learn.

scikit-learn's ``predict_proba`` spends most of the time of a single row on checks and set-up. The model families of
this repository are a few arrays of numbers, from which a scorer is compiled once. Any other model has no scorer, and
:func:`verify_scorer` compares a scorer with its model before use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import expit

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.models.contributions import TOLERANCE, Contributions, require_additive
from holdfast.models.purchase_models import extract_purchase_model
from holdfast.models.term_extraction import extract_linear_terms, extract_step_terms

# Sums of a few dozen terms in another order differ by less.
_PROBABILITY_TOLERANCE = 1e-12


class ScorerMismatchError(HoldfastError):
    """Compiled scorer with other scores than its model."""


class InfiniteInputError(HoldfastError):
    """Infinite or missing input, which this model cannot score; scikit-learn rejects it too."""


class Terms(Protocol):
    """Log-odds as a function of the inputs, with exact contributions.

    The results of a row have the same bits in every batch.
    """

    @property
    def inputs(self) -> int:
        """Return the number of inputs."""

    def log_odds(self, x: Floats) -> Floats:
        """Compute log-odds of churn before calibration.

        Args:
            x: Inputs, shape (rows, inputs).

        Returns:
            Log-odds, shape (rows,); not finite for values that the model cannot score.
        """

    def contributions(self, x: Floats, reference: Floats) -> tuple[float, Floats, Floats]:
        """Compute the contribution of each input to the log-odds of each row.

        Args:
            x: Inputs, shape (rows, inputs).
            reference: Reference value per input, shape (inputs,).

        Returns:
            Log-odds of the reference, log-odds of each row, and contributions of shape (rows, inputs).
        """

    def probe_rows(self) -> Floats:
        """Create rows for a test of the scores.

        Returns:
            Rows, shape (any, inputs), which together use every stored number.
        """


@dataclass(frozen=True)
class CompiledScorer:
    """Fitted model as arrays. The results of a row have the same bits in every batch. Threads may share it.

    Attributes:
        terms: Log-odds of the model and their parts.
        calibrate: Function from log-odds to probabilities, both of shape (rows,).
    """

    terms: Terms
    calibrate: Callable[[Floats], Floats]

    @classmethod
    def from_estimator(cls, estimator: Any, inputs: int) -> "CompiledScorer | None":
        """Compile the scorer of a fitted model.

        Supported are a ``CalibratedModel`` and its classifier alone, of the families and calibrations of
        holdfast.training.

        Args:
            estimator: Any fitted estimator.
            inputs: Number of inputs that the model must have.

        Returns:
            The scorer; None for an unsupported model.
        """
        is_calibrated = type(estimator) is CalibratedModel
        classifier, calibrator = (estimator.classifier, estimator.calibrator) if is_calibrated else (estimator, None)
        try:
            terms: Terms | None = (
                extract_linear_terms(classifier, "logistic")
                or extract_step_terms(classifier, "log_loss")
                or extract_purchase_model(classifier)
            )
            calibrate = _calibration(calibrator)
            if terms is None or calibrate is None or terms.inputs != inputs:
                return None
            return cls(terms, calibrate) if list(classifier.classes_) == [False, True] else None
        except AttributeError:  # not fitted, or renamed in another release of scikit-learn
            return None

    def log_odds(self, inputs: Floats) -> Floats:
        """Compute log-odds of churn before calibration.

        Args:
            inputs: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Log-odds, shape (rows,).

        Raises:
            InfiniteInputError: A value is infinite or missing and the model cannot score it.
        """
        return require_finite(self.terms.log_odds(contiguous_inputs(inputs, self.terms.inputs)))

    def probabilities(self, inputs: Floats) -> Floats:
        """Compute probabilities of churn.

        Args:
            inputs: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Probabilities, shape (rows,).

        Raises:
            InfiniteInputError: As :meth:`log_odds`.
        """
        return self.calibrate(self.log_odds(inputs))

    def contributions(self, inputs: Floats, reference: Sequence[float | None]) -> Contributions:
        """Compute the contribution of each input to the log-odds of each row, relative to the reference.

        Args:
            inputs: Inputs, shape (rows, inputs); NaN is missing.
            reference: Reference value per input; None is missing.

        Returns:
            The contributions.

        Raises:
            InfiniteInputError: As :meth:`log_odds`.
            NotAdditiveError: The contributions of a row do not add up to its log-odds.
        """
        typical = np.array(reference, dtype=np.float64)  # None becomes NaN
        base, log_odds, values = self.terms.contributions(contiguous_inputs(inputs, self.terms.inputs), typical)
        require_additive(base, require_finite(log_odds), values)
        return Contributions(base, log_odds, values)


def contiguous_inputs(inputs: Floats, count: int) -> Floats:
    """Return inputs in row-major order: for other memory layouts NumPy may use other code, with other bits.

    Args:
        inputs: Inputs, shape (rows, inputs).
        count: Number of inputs of the model.

    Returns:
        The same values.

    Raises:
        ValueError: The matrix has another number of inputs.
    """
    x = np.ascontiguousarray(inputs, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != count:
        raise ValueError(f"The matrix has shape {x.shape}, the model has {count} inputs.")
    return x


def require_finite(log_odds: Floats) -> Floats:
    """Require finite sums of terms.

    Args:
        log_odds: Sums of terms, shape (rows,).

    Returns:
        The same values.

    Raises:
        InfiniteInputError: A value is infinite or missing and the model cannot score it.
    """
    finite = np.isfinite(log_odds)
    if not finite.all():
        raise InfiniteInputError(
            f"Row {int(np.flatnonzero(~finite)[0])} has an infinite value or lacks one, and the model cannot score it. "
            "Correct the source data of the feature."
        )
    return log_odds


def verify_scorer(estimator: Any, scorer: CompiledScorer, rows: Floats) -> None:
    """Compare a scorer with its model, on given rows and on rows that use every number of the scorer.

    Args:
        estimator: The fitted model.
        scorer: Its scorer.
        rows: Inputs, shape (rows, inputs); there may be none.

    Raises:
        ScorerMismatchError: A probability differs by more than 1e-12, or log-odds by more than 1e-9 of their size.
    """
    x = np.vstack([np.reshape(rows, (-1, scorer.terms.inputs)), scorer.terms.probe_rows()])
    compared = (
        ("probability", estimator.predict_proba(x)[:, 1], scorer.probabilities(x), _PROBABILITY_TOLERANCE),
        (
            "log-odds",
            expected := estimator.decision_function(x),
            scorer.log_odds(x),
            TOLERANCE * (1 + np.abs(expected)),
        ),
    )
    for quantity, model, compiled, tolerance in compared:
        wrong = ~(np.abs(model - compiled) <= tolerance)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ScorerMismatchError(
                f"The compiled scorer's {quantity} of row {row} is {compiled[row]!r}, the model's {model[row]!r} "
                f"({int(wrong.sum())} of {len(x)} rows differ). Score with the model itself, and report this."
            )


def _calibration(calibrator: Any) -> Callable[[Floats], Floats] | None:
    """Return the function from log-odds to probabilities; None for an unsupported calibrator."""
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    if calibrator is None:
        return expit
    if type(calibrator) is LogisticRegression and calibrator.coef_.shape == (1, 1):
        slope, intercept = calibrator.coef_.item(), np.ravel(calibrator.intercept_).item()
        return lambda log_odds: expit(log_odds * slope + intercept)
    if type(calibrator) is IsotonicRegression and calibrator.out_of_bounds == "clip":
        thresholds, values = calibrator.X_thresholds_, calibrator.y_thresholds_
        if thresholds.dtype == values.dtype == np.float64:
            return lambda log_odds: np.interp(log_odds, thresholds, values)  # clips as well
    return None
