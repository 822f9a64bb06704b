"""Tests of the compiled scorer with categorical inputs: equal to the pipeline, with the same bits in every batch."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_limits

from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.models.categories import encode_categories
from holdfast.models.category_columns import indicate_categories
from holdfast.models.compiled_scorer import CompiledScorer, verify_scorer
from holdfast.models.contract import TRUSTED_TYPES
from holdfast.models.contributions import compute_contributions
from holdfast.training.calibration import CALIBRATION_METHODS, fit_calibrator
from holdfast.training.model_families import FAMILIES
from tests.support.training_sets import add_text_input, country_training_set

EFFECTS = {"France": 1.5, "Österreich": -1.5, "": 0.7, "中国": 0.0, "🇫🇷": -0.5, None: 0.9}
RARE = [f"rare {number}" for number in range(40)]
TEXTS = st.sampled_from([*EFFECTS, *RARE, "unseen"]) | st.text(max_size=5) | st.none()
PARAMS = {"logistic": {"C": 1.0}, "boosting": FAMILIES["boosting"].defaults}
FAMILY_NAMES = list(PARAMS)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Boosting's threads would wait for each other by spinning."""
    with threadpool_limits(limits=1):
        yield


@cache
def trained(family: str, seed: int, calibration: Any = "none") -> CalibratedModel:
    """Fit a model on a number, two texts, and a text that is missing, the same, or rare for all customers."""
    data = country_training_set(400, 3, EFFECTS, seed, noise=["x"] * 20 + ["y"] * 20 + RARE)
    rows = len(data.y)
    last = [[None] * rows, ["same"] * rows, [f"text {i % 399}" for i in range(rows)]][seed % 3]
    data = add_text_input(data, "last", last)
    model = FAMILIES[family].fit(PARAMS[family], data, seed)
    return CalibratedModel(model, fit_calibrator(calibration, model.decision_function(data.x), data.y))


def scorer_of(model: CalibratedModel) -> CompiledScorer:
    scorer = CompiledScorer.from_estimator(model, 4)
    assert scorer is not None
    return scorer


@st.composite
def rows(draw: Any) -> np.ndarray:
    size = draw(st.integers(1, 12))
    number = [draw(st.floats(-1e9, 1e9) | st.just(float("nan"))) for _ in range(size)]
    texts = [encode_categories(draw(st.lists(TEXTS, min_size=size, max_size=size))) for _ in range(3)]
    x = np.column_stack([number, *texts])
    nudge = draw(st.sampled_from([None, np.inf, -np.inf, 0.5]))  # codes of no text
    if nudge is not None:
        x[:, 1] = nudge if nudge == 0.5 else np.nextafter(x[:, 1], nudge)
    return x


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FAMILY_NAMES), st.integers(0, 2), st.sampled_from(CALIBRATION_METHODS), rows())
def test_compiled_scorer_with_categories_equals_pipeline(
    family: str, seed: int, calibration: Any, x: np.ndarray
) -> None:
    model = trained(family, seed, calibration)
    scorer = scorer_of(model)
    verify_scorer(model, scorer, x)
    assert np.abs(model.predict_proba(x)[:, 1] - scorer.probabilities(x)).max() <= 1e-12
    alone = np.concatenate([scorer.log_odds(row[np.newaxis]) for row in x])
    assert np.array_equal(alone, scorer.log_odds(x))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FAMILY_NAMES), st.integers(0, 2), rows())
def test_contributions_of_categories_equal_those_of_pipeline(family: str, seed: int, x: np.ndarray) -> None:
    model = trained(family, seed)
    reference = [0.3, encode_categories(["France"])[0], None, None]
    ours = scorer_of(model).contributions(x, reference)
    exact = compute_contributions(model.decision_function, x, reference)
    assert ours.values == pytest.approx(exact.values, abs=1e-9)
    assert ours.base == pytest.approx(exact.base, abs=1e-9)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_rare_and_new_categories_have_one_score(family: str) -> None:
    model = trained(family, 0)
    x = np.tile([0.1, *encode_categories(["France", "x"]), np.nan], (4, 1))
    x[:, 2] = encode_categories([RARE[0], RARE[1], "new since then", "x"])
    scores = model.predict_proba(x)[:, 1]
    assert scores[0] == scores[1] == scores[2]
    assert np.array_equal(scorer_of(model).probabilities(x)[:3], np.repeat(scorer_of(model).probabilities(x[:1]), 3))


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_probe_rows_hold_every_category(family: str) -> None:
    probes = scorer_of(trained(family, 0)).terms.probe_rows()
    assert set(encode_categories([text for text in EFFECTS if text is not None])) <= set(probes[:, 1])
    assert np.isnan(probes[:, 1]).any()


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_model_file_with_categories_returns_the_same_scores(family: str) -> None:
    model = trained(family, 1, "sigmoid")
    loaded = skops.io.loads(skops.io.dumps(model), trusted=TRUSTED_TYPES)
    x = country_training_set(50, 1, EFFECTS, 7, noise=["x", "new"]).x
    x = np.column_stack([x, encode_categories(["same", None] * 25)])
    assert np.array_equal(loaded.predict_proba(x), model.predict_proba(x))
    assert np.array_equal(scorer_of(loaded).probabilities(x), scorer_of(model).probabilities(x))


def test_compiled_scorer_foreign_first_step_has_no_scorer() -> None:
    steps = [step for _, step in trained("logistic", 0).classifier.steps]
    for changed in (FunctionTransformer(np.abs), FunctionTransformer(indicate_categories, validate=True)):
        assert CompiledScorer.from_estimator(make_pipeline(changed, *steps[1:]), 4) is None
    swapped = make_pipeline(steps[0], *[step for _, step in trained("boosting", 0).classifier.steps][1:])
    assert CompiledScorer.from_estimator(swapped, 4) is None
