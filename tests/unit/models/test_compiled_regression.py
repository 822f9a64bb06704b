"""Compiled regressions: the values of scikit-learn, and the same bits in every batch."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.types import Floats
from holdfast.models.compiled_regression import CompiledRegression, verify_regression
from holdfast.models.compiled_scorer import InfiniteInputError, ScorerMismatchError
from holdfast.models.loaded_regressor import LoadedRegressor
from holdfast.training.regression.families import REGRESSION_FAMILIES
from tests.support.registry import build_contract
from tests.support.spend_sets import spend_training_set


@pytest.fixture(scope="module")
def rows() -> Floats:
    return spend_training_set(300, 4).x


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    """Fit one model per family; in the rows of the fit, some inputs are missing."""
    data = spend_training_set(300, 4)
    models = {"bg_nbd_gamma_gamma": REGRESSION_FAMILIES["bg_nbd_gamma_gamma"].fit({}, data, 0)}
    data.x[::5, 1] = np.nan
    for name in ("tweedie", "boosting"):
        family = REGRESSION_FAMILIES[name]
        models[name] = family.fit(family.grid[0], data, 0)
    return models


@pytest.mark.parametrize("family", ["tweedie", "boosting"])
def test_compiled_regression_equals_the_model(fitted: dict[str, Any], rows: Floats, family: str) -> None:
    model, x = fitted[family], rows.copy()
    x[::7, 1] = np.nan
    compiled = CompiledRegression.from_estimator(model, x.shape[1])
    assert compiled is not None
    verify_regression(model, compiled, x)
    np.testing.assert_allclose(compiled.predict(x), model.predict(x), rtol=1e-10)
    wrong = CompiledRegression(CompiledRegression.from_estimator(model, x.shape[1]).terms)  # type: ignore[union-attr]
    object.__setattr__(wrong.terms, "base", wrong.terms.base + 1e-6)
    with pytest.raises(ScorerMismatchError, match="compiled prediction of row"):
        verify_regression(model, wrong, x)


@pytest.mark.parametrize("family", REGRESSION_FAMILIES)
@settings(max_examples=40)
@given(data=st.data())
def test_prediction_of_a_row_has_the_same_bits_in_every_batch(
    fitted: dict[str, Any], rows: Floats, family: str, data: st.DataObject
) -> None:
    model = fitted[family]
    contract = build_contract(model, b"", inputs=list("abcdef"), reference=[0.0] * rows.shape[1], examples=[])
    loaded = LoadedRegressor(contract, model, CompiledRegression.from_estimator(model, rows.shape[1]))
    whole = loaded.predict(rows)
    selected = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=40))
    for matrix in (rows[selected], np.asfortranarray(rows[selected])):
        assert loaded.predict(matrix).tobytes() == whole[selected].tobytes()


def test_other_estimators_have_no_compiled_form(fitted: dict[str, Any], rows: Floats) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import TweedieRegressor

    target = rows[:, 0] * rows[:, 2] + 1
    others = [
        TweedieRegressor(),  # not fitted
        HistGradientBoostingRegressor(max_iter=2).fit(rows, target),  # no log link
        HistGradientBoostingRegressor(max_iter=2, loss="poisson", max_leaf_nodes=8).fit(rows, target),  # not additive
        fitted["bg_nbd_gamma_gamma"],
    ]
    assert [CompiledRegression.from_estimator(other, rows.shape[1]) for other in others] == [None] * len(others)
    assert CompiledRegression.from_estimator(fitted["tweedie"], rows.shape[1] + 1) is None


def test_infinite_input_is_an_error(fitted: dict[str, Any], rows: Floats) -> None:
    compiled = CompiledRegression.from_estimator(fitted["tweedie"], rows.shape[1])
    x = rows[:2].copy()
    x[1, 0] = np.inf
    assert compiled is not None
    with pytest.raises(InfiniteInputError, match="Row 1"):
        compiled.predict(x)
