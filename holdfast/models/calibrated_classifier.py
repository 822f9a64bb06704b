"""A classifier whose probabilities are calibrated: the one class of ours that a model file may contain."""

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from holdfast.core.types import Bools, Floats


class CalibratedModel(ClassifierMixin, BaseEstimator):
    """A fitted binary classifier and a fitted map from its log-odds to a probability.

    scikit-learn's ``CalibratedClassifierCV`` calibrates on scores of a partition of the rows. Folds ordered by time
    are none: the earliest rows are never scored. So both parts are fitted apart and put together here.

    Args:
        classifier: Fitted; its ``decision_function`` gives log-odds.
        calibrator: Fitted on log-odds: ``LogisticRegression`` (Platt, 1999) on a matrix (rows, 1), or
            ``IsotonicRegression`` (Zadrozny and Elkan, 2002) on a vector, which needs ``out_of_bounds="clip"``: scores
            beyond those it was fitted on would give NaN. None: the log-odds are taken as they are.
    """

    def __init__(self, classifier: Any = None, calibrator: Any = None) -> None:
        self.classifier = classifier
        self.calibrator = calibrator

    @property
    def classes_(self) -> Bools:
        """The classes of the classifier."""
        classes: Bools = self.classifier.classes_
        return classes

    def decision_function(self, x: Floats) -> Floats:
        """Log-odds of the second class before calibration, shape (rows,); what reasons add up to."""
        log_odds: Floats = self.classifier.decision_function(x)
        return log_odds

    def predict_proba(self, x: Floats) -> Floats:
        """Probabilities, shape (rows, 2)."""
        churn = apply_calibrator(self.calibrator, self.decision_function(x))
        return np.column_stack([1 - churn, churn])


def apply_calibrator(calibrator: Any, log_odds: Floats) -> Floats:
    """Probabilities of log-odds, both of shape (rows,)."""
    if calibrator is None:
        return expit(log_odds)
    if hasattr(calibrator, "predict_proba"):
        probabilities: Floats = calibrator.predict_proba(log_odds.reshape(-1, 1))[:, 1]
        return probabilities
    return np.asarray(calibrator.predict(log_odds), dtype=np.float64)
