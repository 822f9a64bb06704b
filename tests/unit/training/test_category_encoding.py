"""Tests of learned categories: per fold, with rare ones as one, and texts that are refused."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from holdfast.models.categories import category_code, encode_categories
from holdfast.training.category_encoding import (
    MIN_CUSTOMERS,
    NoCategoriesError,
    fit_indicators,
    fit_ranks,
    name_categories,
    require_categories,
)
from holdfast.training.contract_builder import build_example_rows, typical_inputs
from holdfast.training.fitting import fit_model, predict_churn
from holdfast.training.model_families import FAMILIES
from tests.support.training_sets import (
    add_text_input,
    country_training_set,
    make_training_set,
    month_starts,
    synthetic_training_set,
)

EFFECTS = {"France": 1.5, "Österreich": -1.5, "": 0.7, "中国": 0.0, None: -0.7}
FAMILY_NAMES = ["logistic", "boosting"]


def text_set(texts: list[str | None], months: int = 1):  # type: ignore[no-untyped-def]
    """Return a training set with one customer per text at each cut-off, and a text input."""
    customers = len(texts)
    data = make_training_set(
        [number % 2 for number in range(customers * months)],
        list(range(customers)) * months,
        np.repeat(np.array(month_starts(months), dtype=object), customers).tolist(),
        number=np.zeros(customers * months),
    )
    return add_text_input(data, "country", texts * months)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_family_learns_effect_of_categories(family: str) -> None:
    data, fresh = country_training_set(1000, 3, EFFECTS, 1), country_training_set(1000, 3, EFFECTS, 2)
    params = {"C": 1.0} if family == "logistic" else FAMILIES[family].defaults
    model = fit_model(family, params, data, 0)
    blind = replace(data, x=data.x[:, :1], inputs=data.inputs[:1])
    without = fit_model(family, params, blind, 0)
    gain = roc_auc_score(fresh.y, predict_churn(model, fresh.x)) - roc_auc_score(
        fresh.y, predict_churn(without, fresh.x[:, :1])
    )
    assert gain > 0.1
    rows = np.column_stack([np.zeros(5), encode_categories(list(EFFECTS))])
    learned = model.decision_function(rows)
    assert np.abs(learned - learned.mean() - np.array([*EFFECTS.values()])).max() < 0.45


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_category_of_few_customers_is_treated_as_new(family: str) -> None:
    texts = ["many"] * 400 + ["enough"] * MIN_CUSTOMERS + ["few"] * (MIN_CUSTOMERS - 1)
    data = text_set([*texts, None], months=3)
    model = fit_model(family, FAMILIES[family].defaults, data, 0)
    rows = np.column_stack([np.zeros(4), encode_categories(["few", "never", "enough", None])])
    few, never, enough, _ = model.decision_function(rows)
    assert few == never
    assert few != enough or family == "boosting"  # trees need more rows than 30 customers have
    (categories,) = name_categories(data).values()
    assert categories.known == ("enough", "many")
    assert categories.rare == ("few",)


def test_categories_of_a_fold_come_from_its_rows_alone() -> None:
    months = month_starts(2)
    early, late = text_set(["a"] * 40 + ["b"] * 40), text_set(["b"] * 40 + ["c"] * 40)
    data = make_training_set(
        np.concatenate([early.y, late.y]),
        [*range(80), *range(80)],
        [months[0]] * 80 + [months[1]] * 80,
        number=np.zeros(160),
    )
    data = add_text_input(data, "country", ["a"] * 40 + ["b"] * 80 + ["c"] * 40)
    fold = data.at_cutoffs(months[:1])
    for fit in (fit_indicators, fit_ranks):
        encode = fit(fold)
        assert encode is not None
        assert set(encode.kw_args["codes"][0]) == set(encode_categories(["a", "b"]))
    assert name_categories(fold)["country"].known == ("a", "b")
    other = replace(data, y=np.where(data.keys["cutoff"] == months[1], ~data.y, data.y))
    both = [
        fit_model("boosting", FAMILIES["boosting"].defaults, rows.at_cutoffs(months[:1]), 0) for rows in (data, other)
    ]
    assert np.array_equal(both[0].decision_function(data.x), both[1].decision_function(data.x))


def test_ranks_follow_churn_and_others_without_rows_have_the_mean() -> None:
    texts = ["low"] * 100 + ["high"] * 100 + ["middle"] * 100
    data = text_set(texts)
    data = replace(
        data, y=np.array([i % 10 == 0 for i in range(100)] + [i % 10 > 0 for i in range(100)] + [False, True] * 50)
    )
    encode = fit_ranks(data)
    assert encode is not None
    ranked = encode.transform(np.column_stack([np.zeros(5), encode_categories(["low", "middle", "new", "high", None])]))
    assert ranked[:, 1].tolist()[:4] == [0, 1, 1, 2]
    assert np.isnan(ranked[4, 1])


def test_penalty_draws_a_small_category_more_to_the_others() -> None:
    rng = np.random.default_rng(0)
    texts = ["base"] * 2000 + ["large"] * 1000 + ["small"] * 50
    data = text_set(texts)
    churned = np.concatenate([rng.random(2000) < 0.3, np.arange(1000) % 10 < 7, np.arange(50) % 10 < 7])
    data = replace(data, y=churned)
    model = fit_model("logistic", {"C": 0.02}, data, 0)
    base, large, small = model.decision_function(
        np.column_stack([np.zeros(3), encode_categories(["base", "large", "small"])])
    )
    assert base < small < large - 0.3


def test_training_without_text_has_no_additional_step() -> None:
    data = synthetic_training_set(50, 3)
    assert fit_indicators(data) is None
    assert fit_ranks(data) is None
    assert name_categories(data) == {}
    require_categories(data)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([f"city {i % 301}" for i in range(1000)], r"synthetic:country has 301 distinct texts for 1,000 customers"),
        (["x"] * 50 + ["long" * 26], r"synthetic:country has a text of 104 characters, more than 100 \('longlong"),
        (
            [f"mail{i}@example.org" for i in range(200)],
            r"synthetic:country has 200 texts of one customer each, for 200",
        ),
        (
            [f"{i}" for i in range(101)] + ["x"] * 99 + [None] * 500,
            r"101 texts of one customer each, for 200 customers",
        ),
    ],
)
def test_require_categories_other_text_raises(texts: list[str | None], reason: str) -> None:
    with pytest.raises(NoCategoriesError, match=reason):
        require_categories(text_set(texts, months=2))


@pytest.mark.parametrize(
    "texts",
    [
        [f"country {i % 300}" for i in range(1000)],
        ["UK"] * 50 + ["FR", "DE", "PL", "中国"],
        [None] * 100,
        ["same"] * 3,
        ["x" * 100] * 5,
    ],
)
def test_require_categories_accepts_countries(texts: list[str | None]) -> None:
    require_categories(text_set(texts, months=3))


def test_typical_inputs_category_is_the_most_frequent_one() -> None:
    codes = encode_categories(["a", "b", "b", "b", "c", None])
    x = np.column_stack([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], codes])
    assert typical_inputs(x, [1]) == [3.5, category_code("b")]
    assert typical_inputs(np.where(x == category_code("b"), np.nan, x), [1])[1] is None
    rows = build_example_rows([3.5, category_code("b")], x, [1])
    assert {row[1] for row in rows} == {*encode_categories(["a", "b", "c"]), 0.5, None}
