"""Scores of spend predictions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.metrics import mean_tweedie_deviance

from holdfast.core.types import Floats
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.regression.scores import deviance, measure_spend, spearman_interval

amounts = arrays(np.float64, 30, elements=st.one_of(st.just(0.0), st.floats(0.01, 1e5)))
predictions = arrays(np.float64, 30, elements=st.floats(1, 1e5))
BOOTSTRAP = CustomerBootstrap([str(n) for n in range(30)], 200, 0)


@given(spend=amounts, predicted=predictions)
def test_deviance_equals_scikit_learn(spend: Floats, predicted: Floats) -> None:
    found = deviance(spend, predicted, 1.0).mean()
    assert found == pytest.approx(mean_tweedie_deviance(spend, predicted, power=1.5), rel=1e-6, abs=1e-6)


@given(spend=amounts.filter(lambda values: values.sum() > 1), factor=st.floats(0.2, 5))
def test_deviance_of_constants_is_smallest_at_the_mean(spend: Floats, factor: float) -> None:
    mean = float(spend.mean())
    at_mean, other = (deviance(spend, np.full(30, value), mean).mean() for value in (mean, mean * factor))
    assert at_mean <= other + 1e-9 * (1 + abs(other))


def test_deviance_of_a_sure_zero_is_finite() -> None:
    assert np.isfinite(deviance(np.array([10.0, 0.0]), np.zeros(2), 5.0)).all()


@given(spend=amounts, predicted=predictions)
def test_spearman_equals_scipy(spend: Floats, predicted: Floats) -> None:
    if np.ptp(spend) and np.ptp(predicted):
        assert spearman_interval(spend, predicted, BOOTSTRAP).value == pytest.approx(spearmanr(spend, predicted)[0])


def test_spearman_of_equal_predictions_is_zero() -> None:
    spend = np.arange(30.0)
    found = spearman_interval(spend, np.full(30, 7.0), BOOTSTRAP)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_measure_spend_of_nothing_has_no_total() -> None:
    found = measure_spend(np.zeros(30), np.ones(30), 1.0, BOOTSTRAP)
    assert not np.isfinite(found["total"].low)
    assert found["mae"].value == 1
