"""Scores a few rows in microseconds, as scikit-learn would.

scikit-learn's ``predict_proba`` spends most of its time on one row with checks and with starting its machinery.
Our two families are a few arrays of numbers; a scorer is made of them once. What is not exactly one of the families
gets no scorer, and :func:`verify` compares a scorer with its model before it is used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.models.additive_terms import AdditiveTerms, extract_linear_terms, extract_step_terms, sum_terms
from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.models.contributions import TOLERANCE, Contributions, require_additive

# A sum of a few dozen terms in another order differs by less.
_PROBABILITY_TOLERANCE = 1e-12


class ScorerMismatchError(HoldfastError):
    """A compiled scorer and its model say different things."""


class InfiniteInputError(HoldfastError):
    """A value is infinite, which this model cannot score; scikit-learn refuses it too."""


@dataclass(frozen=True)
class CompiledScorer:
    """A fitted model as arrays. A row's results have the same bits whatever batch it is in; threads may share it."""

    terms: AdditiveTerms
    calibrate: Callable[[Floats], Floats]

    @classmethod
    def from_estimator(cls, estimator: Any, inputs: int) -> "CompiledScorer | None":
        """The scorer of a fitted model with ``inputs`` inputs; None unless its every part is one we know.

        Known are a ``CalibratedModel`` and its classifier alone, of the families and calibrations that training makes.
        """
        is_calibrated = type(estimator) is CalibratedModel
        classifier, calibrator = (estimator.classifier, estimator.calibrator) if is_calibrated else (estimator, None)
        try:
            terms = extract_linear_terms(classifier) or extract_step_terms(classifier)
            calibrate = _calibration(calibrator)
            if terms is None or calibrate is None or terms.inputs != inputs:
                return None
            return cls(terms, calibrate) if list(classifier.classes_) == [False, True] else None
        except AttributeError:  # not fitted, or kept elsewhere by another release of scikit-learn
            return None

    def log_odds(self, inputs: Floats) -> Floats:
        """Of churn before calibration: float64 matrix (rows, inputs), NaN is missing, to (rows,).

        Raises:
            InfiniteInputError: A value is infinite and the model is linear.
        """
        return self._log_odds(self._terms(inputs))

    def probabilities(self, inputs: Floats) -> Floats:
        """Of churn; shapes and errors as in :meth:`log_odds`."""
        return self.calibrate(self.log_odds(inputs))

    def contributions(self, inputs: Floats, reference: Sequence[float | None]) -> Contributions:
        """What each input adds to the log-odds of each row, compared with ``reference``, which may have gaps.

        Raises:
            InfiniteInputError: As :meth:`log_odds`.
            NotAdditiveError: The contributions of a row do not add up to its log-odds.
        """
        terms = self._terms(np.vstack([np.array(reference, dtype=np.float64), inputs]))  # None becomes NaN
        log_odds, values = self._log_odds(terms), terms[1:] - terms[0]
        require_additive(float(log_odds[0]), log_odds[1:], values)
        return Contributions(float(log_odds[0]), log_odds[1:], values)

    def _terms(self, inputs: Floats) -> Floats:
        x = np.ascontiguousarray(inputs, dtype=np.float64)  # other layouts may take other code in NumPy, to other bits
        if x.ndim != 2 or x.shape[1] != self.terms.inputs:
            raise ValueError(f"The matrix has shape {x.shape}, the model has {self.terms.inputs} inputs.")
        return self.terms.compute(x)

    def _log_odds(self, terms: Floats) -> Floats:
        log_odds = self.terms.base + sum_terms(terms)
        finite = np.isfinite(log_odds)
        if not finite.all():
            raise InfiniteInputError(
                f"Row {int(np.flatnonzero(~finite)[0])} has an infinite value, which the model cannot score. "
                "Correct the data the feature is made of."
            )
        return log_odds


def verify_scorer(estimator: Any, scorer: CompiledScorer, rows: Floats) -> None:
    """Compare a scorer with its model on ``rows`` (rows, inputs), and on rows that use every number it keeps.

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
    for what, model, compiled, tolerance in compared:
        wrong = ~(np.abs(model - compiled) <= tolerance)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ScorerMismatchError(
                f"The compiled scorer's {what} of row {row} is {compiled[row]!r}, the model's {model[row]!r} "
                f"({int(wrong.sum())} of {len(x)} rows differ). Score with the model itself, and report this."
            )


def _calibration(calibrator: Any) -> Callable[[Floats], Floats] | None:
    """The fitted map from log-odds to probabilities; None if it is of no kind we know."""
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    if calibrator is None:
        return expit
    if type(calibrator) is LogisticRegression and calibrator.coef_.shape == (1, 1):
        return partial(_sigmoid, slope=calibrator.coef_.item(), intercept=np.ravel(calibrator.intercept_).item())
    if type(calibrator) is IsotonicRegression and calibrator.out_of_bounds == "clip":
        thresholds, values = calibrator.X_thresholds_, calibrator.y_thresholds_
        if thresholds.dtype == values.dtype == np.float64:
            return partial(_interpolated, thresholds=thresholds, values=values)
    return None


def _sigmoid(log_odds: Floats, slope: float, intercept: float) -> Floats:
    probabilities: Floats = expit(log_odds * slope + intercept)
    return probabilities


def _interpolated(log_odds: Floats, thresholds: Floats, values: Floats) -> Floats:
    probabilities: Floats = np.interp(log_odds, thresholds, values)  # clips, too
    return probabilities
