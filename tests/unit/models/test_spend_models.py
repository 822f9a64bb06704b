"""BG/NBD with Gamma-Gamma: against simulated customers, the formulas' limits and the saved file."""

import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st

from holdfast.models.contract import TRUSTED_TYPES
from holdfast.models.purchase_models import BgNbdModel
from holdfast.models.spend_models import BgNbdGammaGammaModel, expected_purchases, expected_value

PARAMETERS = (0.8, 25.0, 0.7, 2.5)
VALUE = (2.0, 3.0, 30.0)
positive = st.floats(0.2, 5)


def _column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@given(r=positive, alpha=st.floats(1, 200), a=positive, b=positive, repeats=st.integers(0, 30), age=st.floats(1, 500))
def test_expected_purchases_short_horizon_equals_chance_of_a_purchase(
    r: float, alpha: float, a: float, b: float, repeats: int, age: float
) -> None:
    """In a horizon too short for two purchases the expectation is the probability of one."""
    horizon, last = 1e-4 * alpha / (r + repeats), age / 2 if repeats else 0.0
    history = _column(repeats), _column(last), _column(age)
    expected = expected_purchases((r, alpha, a, b), *history, horizon)[0]
    model = BgNbdModel((r, alpha, a, b))
    chance = 1 / (1 + np.exp(model.no_purchase_log_odds(*history, horizon)[0]))
    assert expected == pytest.approx(chance, rel=1e-2, abs=1e-9)


def test_expected_purchases_of_new_customers_equals_simulation() -> None:
    rng, (r, alpha, a, b), horizon = np.random.default_rng(0), PARAMETERS, 90.0
    rates, chances = rng.gamma(r, 1 / alpha, 40_000), rng.beta(a, b, 40_000)
    counts = []
    for rate, chance in zip(rates, chances, strict=True):
        count, time = 0, rng.exponential(1 / rate)
        while time < horizon:
            count += 1
            if rng.random() < chance:
                break
            time += rng.exponential(1 / rate)
        counts.append(count)
    found = expected_purchases(PARAMETERS, _column(0), _column(0), _column(0), horizon)[0]
    assert found == pytest.approx(np.mean(counts), abs=4 * np.std(counts) / 200)


@given(repeats=st.integers(0, 200), age=st.floats(0, 3000), share=st.floats(0, 1), a=positive)
def test_expected_purchases_is_positive_and_grows_with_the_horizon(
    repeats: int, age: float, share: float, a: float
) -> None:
    history = _column(repeats), _column(age * share if repeats else 0), _column(age)
    short, long = (expected_purchases((0.8, 25.0, a, 2.5), *history, days)[0] for days in (30.0, 90.0))
    assert 0 <= short <= long * (1 + 1e-9)


def test_expected_purchases_has_no_jump_where_a_is_one() -> None:
    history = _column(3.0), _column(50.0), _column(100.0)
    values = [expected_purchases((0.8, 25.0, a, 2.5), *history, 90.0)[0] for a in (1 - 1e-4, 1.0, 1 + 1e-4)]
    assert values[1] == pytest.approx((values[0] + values[2]) / 2, rel=1e-3)


@given(mean=st.floats(0.01, 1e4))
def test_expected_value_moves_from_the_population_to_the_customer(mean: float) -> None:
    p, q, gamma = VALUE
    population = p * gamma / (q - 1)
    one, many = expected_value(VALUE, _column(1, 1e9), _column(mean, mean))
    assert min(mean, population) - 1e-9 <= one <= max(mean, population) + 1e-9
    assert many == pytest.approx(mean, rel=1e-5, abs=1e-6)


def test_predict_rows_are_independent_and_survive_the_file() -> None:
    model = BgNbdGammaGammaModel(PARAMETERS, VALUE, (3, 0, 2, 1), 90.0, 4, 1.2)
    rng = np.random.default_rng(1)
    days = rng.integers(1, 20, 50)
    x = np.column_stack([rng.uniform(100, 900, 50), rng.gamma(2, 20, 50), rng.uniform(0, 90, 50), days])
    values = model.predict(x)
    assert (values > 0).all()
    assert [model.predict(row[np.newaxis])[0] for row in x] == values.tolist()
    again = skops.io.loads(skops.io.dumps(model), trusted=TRUSTED_TYPES)
    assert again.predict(x).tolist() == values.tolist()
    assert np.isnan(model.predict(np.full((1, 4), np.nan))).all()
