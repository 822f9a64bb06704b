"""Logistic regression with an L2 penalty and bounds on coefficients, which scikit-learn does not fit."""

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import lsq_linear
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from holdfast.core.types import Bools, Floats

_MAX_STEPS = 200
_SMALLEST_DECREASE = 1e-13  # of the mean loss, expected of the next step
_SUFFICIENT_DECREASE = 1e-4  # share of the expected decrease that a step has to reach (Armijo, 1966)
_RIDGE = 1e-12  # keeps the intercept's curvature positive where all probabilities are 0 or 1


def fit_bounded_logistic(x: Floats, churned: Bools, non_negative: Bools, C: float) -> LogisticRegression:  # noqa: N803
    """Fit a logistic regression by Newton's method; each step is a least-squares problem with bounds.

    The objective is that of scikit-learn, divided by ``C`` and the number of rows. Source of the steps: Bertsekas
    (1982), projected Newton methods; of the bounded problem: Stark and Parker (1995), as in SciPy.

    Args:
        x: Inputs without missing values, of similar scale, shape (rows, inputs).
        churned: Outcomes of both classes, shape (rows,).
        non_negative: Inputs whose coefficient must not be negative, shape (inputs,).
        C: Inverse strength of the penalty, as in scikit-learn; the intercept has none.

    Returns:
        Fitted model.
    """
    rows, inputs = x.shape
    design = np.column_stack([x, np.ones(rows)])
    penalty = np.append(np.full(inputs, 1 / (C * rows)), 0.0)
    lowest = np.append(np.where(non_negative, 0.0, -np.inf), -np.inf)

    def loss(weights: Floats) -> tuple[float, Floats]:
        z = design @ weights
        return float(np.mean(np.logaddexp(0, z) - churned * z) + penalty @ weights**2 / 2), z

    weights = np.zeros(inputs + 1)
    value, z = loss(weights)
    for _ in range(_MAX_STEPS):
        probability = expit(z)
        gradient = design.T @ (probability - churned) / rows + penalty * weights
        scaled = design * np.sqrt(probability * (1 - probability) / rows)[:, np.newaxis]
        root = cholesky(scaled.T @ scaled + np.diag(penalty + _RIDGE), lower=True)
        target = -solve_triangular(root, gradient, lower=True)
        step = lsq_linear(root.T, target, bounds=(lowest - weights, np.inf), method="bvls", tol=1e-14, max_iter=100).x
        expected = -float(gradient @ step)
        if expected <= _SMALLEST_DECREASE:
            break
        size = 1.0
        reached, reached_z = loss(weights + step)
        while reached > value - _SUFFICIENT_DECREASE * size * expected and size > _RIDGE:
            size /= 2
            reached, reached_z = loss(weights + size * step)
        if reached >= value:  # no smaller loss within the precision of a float
            break
        weights, value, z = np.maximum(weights + size * step, lowest), reached, reached_z
    model = LogisticRegression(C=C)
    model.classes_, model.n_features_in_ = np.array([False, True]), inputs
    model.coef_, model.intercept_ = weights[np.newaxis, :-1], weights[-1:]
    return model
