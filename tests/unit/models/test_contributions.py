"""Tests of contributions: they sum to the log-odds of every row."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from holdfast.core.errors import HoldfastError
from holdfast.models.contributions import NotAdditiveError, compute_contributions, require_additive
from tests.support.additive_models import INPUTS, boosting, customers, fitted, logistic

TYPICAL = [2.0, 0.0, 1.5, None, 3.0]
NAN = float("nan")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Boosting's threads would wait for each other by spinning."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="module", params=["logistic", "boosting"])
def model(request: pytest.FixtureRequest) -> Any:
    """Each family, fitted."""
    return fitted(logistic() if request.param == "logistic" else boosting())


_values = st.one_of(st.floats(-1e6, 1e6), st.just(NAN), st.sampled_from([0.0, -0.0, 1e12, -1e12, 1e-300]))
_rows = st.lists(st.lists(_values, min_size=INPUTS, max_size=INPUTS), min_size=1, max_size=6)
_references = st.lists(_values | st.none(), min_size=INPUTS, max_size=INPUTS)


@settings(max_examples=150, deadline=None)
@given(rows=_rows, reference=_references)
def test_compute_contributions_any_customer_and_reference_sum_to_log_odds(
    model: Any, rows: list[list[float]], reference: list[float | None]
) -> None:
    x = np.array(rows)
    found = compute_contributions(model.decision_function, x, reference)
    assert found.values.shape == x.shape
    np.testing.assert_allclose(found.log_odds, model.decision_function(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.log_odds, rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(row=_rows, other=_values, column=st.integers(0, INPUTS - 1))
def test_compute_contributions_depends_on_own_input_only(
    model: Any, row: list[list[float]], other: float, column: int
) -> None:
    x = np.array(row[:1])
    changed = x.copy()
    changed[:, column] = other
    before, after = (compute_contributions(model.decision_function, item, TYPICAL).values[0] for item in (x, changed))
    others = np.arange(INPUTS) != column
    np.testing.assert_allclose(after[others], before[others], rtol=0, atol=1e-12)


def test_compute_contributions_reference_customer_has_zeros(model: Any) -> None:
    found = compute_contributions(model.decision_function, np.array([TYPICAL], dtype=float), TYPICAL)
    assert found.log_odds[0] == pytest.approx(found.base, abs=1e-12)
    np.testing.assert_allclose(found.values, 0, atol=1e-12)


def test_compute_contributions_missing_value_contributes(model: Any) -> None:
    """Input 3 is often missing, and a missing value is informative."""
    x = np.array([TYPICAL, TYPICAL], dtype=float)
    x[1, 3] = 5.0
    against_missing = compute_contributions(model.decision_function, x, TYPICAL)
    assert abs(against_missing.values[0, 3]) < 1e-12
    assert abs(against_missing.values[1, 3]) > 0.1
    against_known = compute_contributions(model.decision_function, x, x[1])
    assert against_known.values[0, 3] == pytest.approx(-against_missing.values[1, 3], abs=1e-12)


def test_compute_contributions_linear_model_equals_coefficients_times_difference() -> None:
    weights = np.array([2.0, -1.0, 0.5])
    found = compute_contributions(
        lambda x: x @ weights + 4, np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 2.0]]), [1.0, 2.0, 0.0]
    )
    assert found.base == 4.0
    assert found.values.tolist() == [[0.0, 1.0, 0.5], [-2.0, -1.0, 1.0]]
    assert found.log_odds.tolist() == [5.5, 2.0]


def test_compute_contributions_many_rows_equal_single_rows(model: Any) -> None:
    x = customers(700, seed=5)  # more than one call's worth
    together = compute_contributions(model.decision_function, x, TYPICAL)
    for row in (0, 255, 256, 511, 512, 699):
        alone = compute_contributions(model.decision_function, x[row : row + 1], TYPICAL)
        np.testing.assert_allclose(together.values[row], alone.values[0], rtol=0, atol=1e-12)
        assert together.log_odds[row] == pytest.approx(alone.log_odds[0], abs=1e-12)


def test_compute_contributions_interactions_raise() -> None:
    model = fitted(boosting(interactions=None))
    with pytest.raises(NotAdditiveError, match=r"is not additive: row \d+ has log-odds .*no_interactions"):
        compute_contributions(model.decision_function, customers(50, seed=5), TYPICAL)
    assert issubclass(NotAdditiveError, HoldfastError)


def test_compute_contributions_checks_every_row() -> None:
    """Two inputs interact for one of a thousand customers, in the second chunk."""
    x = np.ones((1000, 3))
    x[700] = 2.0
    with pytest.raises(NotAdditiveError, match="row 700 has log-odds 4, but the contributions of its inputs sum to 2"):
        compute_contributions(
            lambda x: (x[:, 0] - 1) + (x[:, 1] - 1) + 2 * (x[:, 0] - 1) * (x[:, 1] - 1), x, [1.0, 1.0, 1.0]
        )


@settings(deadline=None)
@given(scale=st.sampled_from([1e-3, 1.0, 1e6]), error=st.sampled_from([0.0, 1e-12, 1e-7, 1.0]))
def test_require_additive_tolerates_rounding_only(scale: float, error: float) -> None:
    values = np.array([[3.0, -1.0, 0.25]]) * scale
    total = np.array([0.5 + values.sum()]) + error * (1 + scale)
    if error < 1e-9:
        require_additive(0.5, total, values)
    else:
        with pytest.raises(NotAdditiveError):
            require_additive(0.5, total, values)


@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf")])
def test_compute_contributions_score_not_finite_raises(bad: float) -> None:
    with pytest.raises(NotAdditiveError):
        compute_contributions(lambda x: np.full(len(x), bad), np.zeros((1, 2)), [0.0, 0.0])
    with pytest.raises(NotAdditiveError):
        require_additive(0.0, np.array([1.0]), np.array([[bad, 1.0]]))


@pytest.mark.parametrize("reference", [[0.0], [0.0] * 3, []])
def test_compute_contributions_reference_of_other_length_raises(reference: list[float]) -> None:
    with pytest.raises(ValueError, match=f"reference has {len(reference)} values, the rows have 2 inputs"):
        compute_contributions(lambda x: x.sum(axis=1), np.zeros((1, 2)), reference)
