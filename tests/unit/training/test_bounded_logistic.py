"""Logistic regression with bounds: the optimum of its objective, on any inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from holdfast.core.types import Bools, Floats
from holdfast.training.bounded_logistic import fit_bounded_logistic
from tests.support.strategies import EXAMPLES


def _rows(seed: int, rows: int, inputs: int, correlation: float, strength: float) -> tuple[Floats, Bools]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(rows, 1))
    x = correlation * shared + np.sqrt(1 - correlation**2) * rng.normal(size=(rows, inputs))
    churned = rng.random(rows) < expit(strength * x @ rng.normal(size=inputs))
    churned[:2] = False, True
    return x, churned


def _gradient(model: LogisticRegression, x: Floats, churned: Bools) -> tuple[Floats, float]:
    residuals = expit(x @ model.coef_[0] + model.intercept_[0]) - churned
    return (x.T @ residuals + model.coef_[0] / model.C) / len(churned), float(residuals.mean())


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(20, 400),
    inputs=st.integers(1, 8),
    correlation=st.sampled_from([0.0, 0.9, 0.9999]),
    strength=st.sampled_from([0.0, 1.0, 20.0]),
    C=st.sampled_from([1e-5, 1e-2, 1.0, 100.0]),
    data=st.data(),
)
@EXAMPLES
def test_fit_bounded_logistic_any_rows_meets_optimality_conditions(
    seed: int,
    rows: int,
    inputs: int,
    correlation: float,
    strength: float,
    C: float,  # noqa: N803
    data: st.DataObject,
) -> None:
    """Karush-Kuhn-Tucker: no slope at free coefficients, none downhill at those on the bound."""
    bounded = np.array(data.draw(st.lists(st.booleans(), min_size=inputs, max_size=inputs)))
    x, churned = _rows(seed, rows, inputs, correlation, strength)
    model = fit_bounded_logistic(x, churned, bounded, C)
    coefficients = model.coef_[0]
    assert (coefficients[bounded] >= 0).all()
    slope, intercept_slope = _gradient(model, x, churned)
    at_bound = bounded & (coefficients == 0)
    assert np.abs(slope[~at_bound]).max(initial=0) < 1e-5
    assert (slope[at_bound] > -1e-5).all()
    assert abs(intercept_slope) < 1e-5


@pytest.mark.parametrize("C", [1e-4, 0.1, 10.0])
def test_fit_bounded_logistic_without_bounds_equals_scikit_learn(C: float) -> None:  # noqa: N803
    x, churned = _rows(1, 2000, 6, 0.8, 1.0)
    ours = fit_bounded_logistic(x, churned, np.zeros(6, dtype=bool), C)
    theirs = LogisticRegression(C=C, tol=1e-10, solver="newton-cholesky").fit(x, churned)
    assert ours.coef_ == pytest.approx(theirs.coef_, abs=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-6)
    assert ours.predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-6)


def test_fit_bounded_logistic_bound_is_active_equals_fit_without_the_input() -> None:
    x, _ = _rows(2, 3000, 3, 0.5, 1.0)
    churned = np.random.default_rng(3).random(3000) < expit(x @ [1.0, -2.0, 0.5])
    bounded = fit_bounded_logistic(x, churned, np.array([True, True, False]), 1.0)
    assert bounded.coef_[0, 1] == 0
    without = fit_bounded_logistic(x[:, [0, 2]], churned, np.array([True, False]), 1.0)
    assert bounded.coef_[0, [0, 2]] == pytest.approx(without.coef_[0], abs=1e-6)


@pytest.mark.parametrize("C", [1e-5, 1.0, 100.0])
def test_fit_bounded_logistic_separable_or_constant_inputs_finite(C: float) -> None:  # noqa: N803
    churned = np.arange(100) >= 50
    for x in (np.where(churned, 5.0, -5.0)[:, np.newaxis], np.zeros((100, 2)), np.full((100, 1), 1.0)):
        for bounded in (True, False):
            model = fit_bounded_logistic(x, churned, np.full(x.shape[1], bounded), C)
            assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
            assert model.predict_proba(x)[:, 1].mean() == pytest.approx(0.5, abs=1e-6)


def test_fit_bounded_logistic_same_rows_same_bits() -> None:
    x, churned = _rows(4, 500, 5, 0.9, 2.0)
    first, second = (fit_bounded_logistic(x, churned, np.ones(5, dtype=bool), 0.3) for _ in range(2))
    assert first.coef_.tobytes() == second.coef_.tobytes()
    assert first.intercept_.tobytes() == second.intercept_.tobytes()
