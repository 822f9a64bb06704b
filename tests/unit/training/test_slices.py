"""Tests of slices: which inputs they may have, and groups by category."""

import numpy as np
import pytest

from holdfast.training.bootstrap import CustomerBootstrap, roc_auc_draws
from holdfast.training.category_encoding import MIN_CUSTOMERS
from holdfast.training.evaluation import UnknownInputError, _evaluate_slice, require_slice_inputs
from holdfast.training.settings import Slice
from tests.support.training_sets import add_text_input, synthetic_training_set


def test_require_slice_inputs_unknown_or_unfitting_feature_raises() -> None:
    group, categories = Slice(feature="color", edges=[1], labels=["low", "high"]), Slice(feature="color")
    with pytest.raises(UnknownInputError, match=r"'color' is no feature of the training set, which has a, b"):
        require_slice_inputs([group], ["b", "a"])
    require_slice_inputs([group], ["color"])
    require_slice_inputs([categories], ["color"], ["color"])
    with pytest.raises(UnknownInputError, match="'color' is a text: leave out edges, quantiles and labels"):
        require_slice_inputs([group], ["color"], ["color"])
    with pytest.raises(UnknownInputError, match="'color' is a number: give edges, quantiles and labels"):
        require_slice_inputs([categories], ["color"])


def test_evaluate_slice_by_category_has_a_group_per_category() -> None:
    data = synthetic_training_set(200, 2)
    texts = ["France"] * 80 + ["中国"] * 60 + [""] * MIN_CUSTOMERS + ["Malta"] * 10 + [None] * 20
    rows = add_text_input(data, "country", texts * 2)
    scores = {"model": np.random.default_rng(0).random(400)}
    bootstrap = CustomerBootstrap(rows.keys["customer_id"].to_numpy(), 50, 0)
    overall = roc_auc_draws(rows.y, scores["model"], bootstrap)
    results = _evaluate_slice(Slice(feature="country"), rows, scores, bootstrap, overall)
    counts = {"France": 160, "中国": 120, "empty": 2 * MIN_CUSTOMERS, "rare ones": 20, "unknown": 40}
    assert {item.label: item.rows for item in results} == counts
    of_france = np.array([text == "France" for text in texts * 2])
    (france,) = [item for item in results if item.label == "France"]
    assert france.base_rate == rows.y[of_france].mean()
    assert france.mean_score == pytest.approx(scores["model"][of_france].mean())
