"""Calibrated classifier: a classifier and its calibration in one model file."""

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from holdfast.core.types import Bools, Floats


class CalibratedModel(ClassifierMixin, BaseEstimator):
    """Fitted binary classifier with a fitted calibration of its log-odds.

    scikit-learn's ``CalibratedClassifierCV`` calibrates on scores of a partition of the rows. Folds ordered by time are
    not a partition, because the earliest rows are never scored. Therefore both parts are fitted separately.

    Args:
        classifier: Fitted classifier; its ``decision_function`` returns log-odds.
        calibrator: Fitted on log-odds: ``LogisticRegression`` (Platt, 1999) on a matrix (rows, 1), or
            ``IsotonicRegression`` (Zadrozny and Elkan, 2002) on a vector, which needs ``out_of_bounds="clip"``: scores
            outside the fitted range would return NaN. None: the log-odds are not calibrated.
    """

    def __init__(self, classifier: Any = None, calibrator: Any = None) -> None:
        self.classifier = classifier
        self.calibrator = calibrator

    @property
    def classes_(self) -> Bools:
        """Return the classes of the classifier."""
        classes: Bools = self.classifier.classes_
        return classes

    def decision_function(self, x: Floats) -> Floats:
        """Compute log-odds of the second class before calibration, which the contributions sum to.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Log-odds, shape (rows,).
        """
        log_odds: Floats = self.classifier.decision_function(x)
        return log_odds

    def predict_proba(self, x: Floats) -> Floats:
        """Compute calibrated probabilities.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Probabilities of both classes, shape (rows, 2).
        """
        churn = apply_calibrator(self.calibrator, self.decision_function(x))
        return np.column_stack([1 - churn, churn])


def apply_calibrator(calibrator: Any, log_odds: Floats) -> Floats:
    """Convert log-odds to probabilities.

    Args:
        calibrator: Fitted calibrator, as in :class:`CalibratedModel`; None for the logistic function.
        log_odds: Log-odds, shape (rows,).

    Returns:
        Probabilities, shape (rows,).
    """
    if calibrator is None:
        return expit(log_odds)
    if hasattr(calibrator, "predict_proba"):
        probabilities: Floats = calibrator.predict_proba(log_odds.reshape(-1, 1))[:, 1]
        return probabilities
    return np.asarray(calibrator.predict(log_odds), dtype=np.float64)
