"""Tests of the compiled scorer: equal to scikit-learn, with the same bits in every batch."""

import timeit
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from threadpoolctl import threadpool_limits

from holdfast.models.additive_terms import LinearTerms, StepTerms, arcsinh_inputs
from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.models.compiled_scorer import CompiledScorer, InfiniteInputError, ScorerMismatchError, verify_scorer
from holdfast.models.contract import TRUSTED_TYPES
from holdfast.models.contributions import compute_contributions
from holdfast.training.calibration import CALIBRATION_METHODS, fit_calibrator
from holdfast.training.model_families import FAMILIES
from tests.support.additive_models import INPUTS, boosting, customers, fitted, logistic, outcomes, training_set

NAN, INF = float("nan"), float("inf")
PARAMS = {
    "logistic": {"C": [1e-3, 0.1, 10.0]},
    "boosting": {
        "learning_rate": [0.03, 0.3],
        "max_iter": [1, 30, 60],
        "max_leaf_nodes": [3, 31],
        "min_samples_leaf": [5, 200],
        "l2_regularization": [0.01, 100.0],
    },
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Boosting's threads would wait for each other by spinning."""
    with threadpool_limits(limits=1):
        yield


ADDITIVE = [name for name, family in FAMILIES.items() if not family.uses_history]


@cache
def trained(family: str, params: tuple[Any, ...], calibration: Any, seed: int) -> CalibratedModel:
    """Fit a model as training does; the seed selects its rows and the informative inputs."""
    x = customers(600, seed)
    if seed % 3 == 0:
        x[:, 1] = 0.0  # an input that is the same for everybody
    if seed % 3 == 1:
        x[:, 4] = 0.0 if family == "boosting" else NAN  # or missing for everybody
    churned = outcomes(np.roll(np.nan_to_num(x, nan=-1.0), seed, axis=1), seed)
    model = FAMILIES[family].fit(dict(params), training_set(x[:400], churned[:400]), seed)
    return CalibratedModel(model, fit_calibrator(calibration, model.decision_function(x[400:]), churned[400:]))


@st.composite
def models(draw: Callable[..., Any]) -> CalibratedModel:
    """Draw a model of either additive family, with any calibration."""
    family = draw(st.sampled_from(ADDITIVE))
    params = tuple((name, draw(st.sampled_from(values))) for name, values in PARAMS[family].items())
    return trained(family, params, draw(st.sampled_from(CALIBRATION_METHODS)), draw(st.integers(0, 5)))


def scorer_of(model: Any) -> CompiledScorer:
    """Its scorer, which there must be."""
    scorer = CompiledScorer.from_estimator(model, INPUTS)
    assert scorer is not None
    return scorer


def thresholds(model: CalibratedModel) -> list[float]:
    """Every split of the trees."""
    if not hasattr(model.classifier, "_predictors"):
        return []
    trees = [predictor.nodes for (predictor,) in model.classifier._predictors]
    return np.concatenate([nodes["num_threshold"][nodes["is_leaf"] == 0] for nodes in trees] or [[]]).tolist()


EXTREMES = [0.0, -0.0, 5e-324, -5e-324, 1e-300, 1e12, -1e12, 1.7e308, -1.7e308, NAN]


@st.composite
def models_and_rows(draw: Callable[..., Any]) -> tuple[CalibratedModel, np.ndarray]:
    model = draw(models())
    splits = thresholds(model)
    near = [float(f) for t in splits for f in (t, np.nextafter(t, INF), np.nextafter(t, -INF))]
    values = st.one_of(st.floats(allow_nan=True, allow_infinity=bool(splits)), st.sampled_from([*EXTREMES, *near]))
    rows = draw(st.lists(st.lists(values, min_size=INPUTS, max_size=INPUTS), min_size=1, max_size=8))
    rows = np.array(rows)
    return model, rows if splits else np.where(np.isinf(rows), 1.0, rows)


@settings(max_examples=300, deadline=None)
@given(models_and_rows())
def test_compiled_scorer_equals_scikit_learn(drawn: tuple[CalibratedModel, np.ndarray]) -> None:
    model, rows = drawn
    scorer = scorer_of(model)
    x = np.vstack([rows, customers(50, seed=9)])
    np.testing.assert_allclose(scorer.probabilities(x), model.predict_proba(x)[:, 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(scorer.log_odds(x), model.decision_function(x), rtol=1e-12, atol=1e-12)
    verify_scorer(model, scorer, x)


@settings(max_examples=60, deadline=None)
@given(models())
def test_compiled_scorer_classifier_alone_equals_uncalibrated_model(model: CalibratedModel) -> None:
    x = customers(50, seed=9)
    alone = scorer_of(model.classifier)
    np.testing.assert_allclose(alone.probabilities(x), model.classifier.predict_proba(x)[:, 1], rtol=0, atol=1e-12)
    assert alone.log_odds(x).tobytes() == scorer_of(model).log_odds(x).tobytes()


@settings(max_examples=60, deadline=None)
@given(models())
def test_compiled_scorer_at_and_around_each_split_equals_scikit_learn(model: CalibratedModel) -> None:
    splits = np.array([*thresholds(model), 0.0])
    values = np.concatenate([splits, np.nextafter(splits, INF), np.nextafter(splits, -INF)])
    values = values[np.isfinite(values)]
    x = np.stack([np.roll(values, shift) for shift in range(INPUTS)], axis=1)
    every = np.repeat(values[:, None], INPUTS, axis=1)  # each value in each input
    for rows in (x, every):
        found = scorer_of(model).probabilities(rows)
        np.testing.assert_allclose(found, model.predict_proba(rows)[:, 1], rtol=0, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(models_and_rows(), st.randoms(use_true_random=False))
def test_compiled_scorer_row_has_the_same_bits_in_every_batch(
    drawn: tuple[CalibratedModel, np.ndarray], random: Any
) -> None:
    model, rows = drawn
    scorer = scorer_of(model)
    x = np.vstack([rows, customers(300, seed=11)])
    together, log_odds = scorer.probabilities(x), scorer.log_odds(x)
    for _ in range(6):
        chosen = random.sample(range(len(x)), random.choice([1, 1, 2, 3, 7, 8, 9, 31, 64, 255, len(x)]))
        wide = np.zeros((2 * len(chosen), INPUTS + 3))
        wide[::2, 2:-1] = x[chosen]
        for batch in (x[chosen], np.asfortranarray(x[chosen]), wide[::2, 2:-1]):
            assert scorer.probabilities(batch).tobytes() == together[chosen].tobytes()
            assert scorer.log_odds(batch).tobytes() == log_odds[chosen].tobytes()


@pytest.mark.parametrize("family", ADDITIVE)
def test_compiled_scorer_row_of_many_inputs_has_the_same_bits_in_every_batch(family: str) -> None:
    """From 8 terms on, NumPy's own sum adds them in an order that depends on the layout."""
    x = np.hstack([customers(700, seed) for seed in range(4)])[:, :18]
    model = FAMILIES[family].fit(FAMILIES[family].defaults, training_set(x, outcomes(x, 1)), 0)
    scorer = CompiledScorer.from_estimator(model, 18)
    assert scorer is not None
    together = scorer.probabilities(x)
    np.testing.assert_allclose(together, model.predict_proba(x)[:, 1], rtol=0, atol=1e-12)
    for start, stop in [*((i, i + 1) for i in range(60)), (3, 5), (100, 103), (77, 84), (200, 208), (650, 700)]:
        for batch in (x[start:stop], np.asfortranarray(x[start:stop]), x[:, ::-1].copy()[start:stop, ::-1]):
            assert scorer.probabilities(batch).tobytes() == together[start:stop].tobytes()


def test_compiled_scorer_no_rows_returns_no_scores_and_wrong_shape_raises() -> None:
    for model in (logistic(), boosting()):
        scorer = scorer_of(fitted(model))
        assert scorer.probabilities(np.empty((0, INPUTS))).shape == (0,)
        for shape in ((2, INPUTS - 1), (2, INPUTS + 1), (INPUTS,), (1, 1, INPUTS)):
            with pytest.raises(ValueError, match=f"the model has {INPUTS} inputs"):
                scorer.probabilities(np.ones(shape))


@pytest.mark.parametrize("value", [INF, -INF])
@pytest.mark.parametrize("column", range(INPUTS))
def test_compiled_scorer_infinite_input_raises_where_scikit_learn_raises(value: float, column: int) -> None:
    x = customers(5, seed=5)
    x[3, column] = value
    linear, trees = fitted(logistic()), fitted(boosting())
    with pytest.raises(ValueError, match="infinity"):
        linear.predict_proba(x)
    with pytest.raises(InfiniteInputError, match="Row 3 has an infinite value"):
        scorer_of(linear).probabilities(x)
    np.testing.assert_allclose(scorer_of(trees).probabilities(x), trees.predict_proba(x)[:, 1], rtol=0, atol=1e-12)


def test_compiled_scorer_opposite_infinities_raise() -> None:
    x = np.zeros((1, INPUTS))
    x[0, :2] = INF, -INF
    with pytest.raises(InfiniteInputError):
        scorer_of(fitted(logistic())).log_odds(x)


@pytest.mark.parametrize("family", ADDITIVE)
@pytest.mark.parametrize("calibration", CALIBRATION_METHODS)
def test_compiled_scorer_of_loaded_model_has_the_same_bits(family: str, calibration: str, tmp_path: Path) -> None:
    model = trained(family, tuple(FAMILIES[family].defaults.items()), calibration, 2)
    skops.io.dump(model, tmp_path / "model.skops")
    loaded = skops.io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)
    x = customers(200, seed=9)
    assert scorer_of(loaded).probabilities(x).tobytes() == scorer_of(model).probabilities(x).tobytes()
    verify_scorer(loaded, scorer_of(loaded), x)


def test_compiled_scorer_unusual_calibrators_equal_scikit_learn() -> None:
    """Compare a sigmoid that returns the base rate, and isotonic regressions with one and two steps."""
    model, x = fitted(boosting()), customers(200, seed=9)
    log_odds = model.decision_function(x)
    flat = fit_calibrator("sigmoid", log_odds, log_odds < 0)
    assert flat.coef_[0, 0] == 0
    one = IsotonicRegression(out_of_bounds="clip").fit([0.5], [0.25])
    two = IsotonicRegression(out_of_bounds="clip").fit([-0.5, 0.5], [0.0, 1.0])
    for calibrator in (flat, one, two):
        calibrated = CalibratedModel(model, calibrator)
        found = scorer_of(calibrated).probabilities(x)
        np.testing.assert_allclose(found, calibrated.predict_proba(x)[:, 1], rtol=0, atol=1e-12)


class _OwnBoosting(HistGradientBoostingClassifier):
    """May do anything."""


def _pipeline(**changed: Any) -> Any:
    steps = {
        "function": FunctionTransformer(arcsinh_inputs),
        "imputer": SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        "scaler": StandardScaler(),
        "model": LogisticRegression(max_iter=2000),
    }
    return make_pipeline(*(step for step in (steps | changed).values() if step is not None))


def _categorical() -> Any:
    x = customers(1500, seed=1)
    x[:, 2] = np.arange(1500) % 7
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features=[2], interaction_cst="no_interactions")
    return model.fit(x, outcomes(x, seed=2))


def _fitted_to(y: Callable[[np.ndarray], np.ndarray], model: Any) -> Any:
    x = customers(300, seed=1)
    return model.fit(np.nan_to_num(x), y(outcomes(x, seed=2)))


UNKNOWN = {
    "interactions": lambda: fitted(boosting(interactions=None)),
    "categories": _categorical,
    "a subclass": lambda: fitted(_OwnBoosting(interaction_cst="no_interactions", max_iter=5)),
    "three classes": lambda: _fitted_to(lambda y: np.arange(len(y)) % 3, _pipeline()),
    "three classes of trees": lambda: _fitted_to(
        lambda y: np.arange(len(y)) % 3, HistGradientBoostingClassifier(interaction_cst="no_interactions", max_iter=2)
    ),
    "classes in words": lambda: _fitted_to(lambda y: np.where(y, "goes", "stays"), _pipeline()),
    "classes the other way": lambda: _fitted_to(lambda y: np.where(y, 1, 2), boosting()),
    "another function": lambda: fitted(_pipeline(function=FunctionTransformer(np.cbrt))),
    "a function that rounds": lambda: fitted(
        _pipeline(function=FunctionTransformer(np.arcsinh, kw_args={"dtype": np.float32}))
    ),
    "a function of numbers": lambda: fitted(_pipeline(function=FunctionTransformer(np.arcsinh))),
    "a function that refuses NaN": lambda: _fitted_to(
        lambda y: y, _pipeline(function=FunctionTransformer(arcsinh_inputs, validate=True))
    ),
    "no function": lambda: fitted(_pipeline(function=FunctionTransformer())),
    "no first step": lambda: fitted(_pipeline(function=None)),
    "a step that passes": lambda: fitted(_pipeline(function="passthrough")),
    "a step more": lambda: fitted(_pipeline(more=LogisticRegression(), scaler2=None, model=StandardScaler())),
    "another imputation": lambda: fitted(_pipeline(imputer=SimpleImputer(add_indicator=True))),
    "an imputer that drops inputs": lambda: _pipeline(imputer=SimpleImputer(strategy="median")).fit(
        np.column_stack([customers(200, 1)[:, :4], np.full(200, NAN)]), outcomes(customers(200, 1), 2)
    ),
    "an imputer of zeros": lambda: _fitted_to(
        lambda y: y, _pipeline(imputer=SimpleImputer(strategy="median", missing_values=0.0))
    ),
    "another scaler": lambda: fitted(_pipeline(scaler=MinMaxScaler())),
    "a scaler that does not centre": lambda: fitted(_pipeline(scaler=StandardScaler(with_mean=False))),
    "a scaler that does not scale": lambda: fitted(_pipeline(scaler=StandardScaler(with_std=False))),
    "steps before trees": lambda: fitted(_pipeline(scaler=None, imputer=None, model=boosting())),
    "a forest": lambda: fitted(RandomForestClassifier(n_estimators=3)),
    "not fitted, linear": logistic,
    "not fitted, trees": boosting,
    "not fitted, calibrated": lambda: clone(CalibratedModel(boosting(), LogisticRegression())),
    "calibrated twice": lambda: CalibratedModel(CalibratedModel(fitted(boosting()))),
    "an unknown calibrator": lambda: CalibratedModel(
        fitted(boosting()), LinearRegression().fit([[0.0], [1.0]], [0, 1])
    ),
    "isotonic that gives NaN": lambda: CalibratedModel(
        fitted(boosting()), IsotonicRegression(out_of_bounds="nan").fit([0.0, 1.0], [0.0, 1.0])
    ),
    "a calibrator of two inputs": lambda: CalibratedModel(
        fitted(boosting()), LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    ),
    "nothing": lambda: None,
}


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
@pytest.mark.parametrize("what", UNKNOWN)
def test_from_estimator_unsupported_model_returns_none(what: str) -> None:
    assert CompiledScorer.from_estimator(UNKNOWN[what](), INPUTS) is None


def test_from_estimator_other_number_of_inputs_returns_none() -> None:
    for model in (fitted(logistic()), fitted(boosting())):
        assert CompiledScorer.from_estimator(model, INPUTS + 1) is None


def test_from_estimator_pipeline_of_boosting_alone_is_supported() -> None:
    model, x = fitted(make_pipeline(boosting())), customers(50, seed=9)
    np.testing.assert_allclose(scorer_of(model).probabilities(x), model.predict_proba(x)[:, 1], rtol=0, atol=1e-12)


@settings(max_examples=120, deadline=None)
@given(models(), st.data())
def test_verify_scorer_one_wrong_number_raises_for_any_rows(model: CalibratedModel, data: Any) -> None:
    """Verification adds probe rows: the given rows may not use every number."""
    scorer = scorer_of(model)
    if isinstance(scorer.terms, StepTerms):
        numbers = scorer.terms.values.copy()
        numbers[data.draw(st.integers(0, len(numbers) - 1))] += 1e-6
        terms: Any = replace(scorer.terms, values=numbers)
    else:
        field = data.draw(st.sampled_from(["mean", "coefficients", "known", "missing"]))
        number = data.draw(st.integers(0, scorer.terms.inputs - 1))
        slope = abs(scorer.terms.coefficients[number] / scorer.terms.scale[number])
        if field == "mean" and slope == 0:
            return
        numbers = getattr(scorer.terms, field).copy()
        numbers[number] += 1e-6 / (slope if field == "mean" else 1)  # changes the log-odds by at least 1e-6
        terms = replace(scorer.terms, **{field: numbers})
    wrong = replace(scorer, terms=terms)
    verify_scorer(model, scorer, np.empty((0, INPUTS)))
    with pytest.raises(ScorerMismatchError, match="Score with the model itself"):
        verify_scorer(model, wrong, np.zeros((1, INPUTS)))


def test_verify_scorer_moved_split_or_wrong_calibration_raises() -> None:
    model = trained("boosting", tuple(FAMILIES["boosting"].defaults.items()), "sigmoid", 2)
    scorer = scorer_of(model)
    assert isinstance(scorer.terms, StepTerms)
    positions = np.flatnonzero(np.isfinite(scorer.terms.edges.imag))
    assert len(positions) > 20
    for i in positions:
        for direction in (INF, -INF):
            edges = scorer.terms.edges.copy()
            edges.imag[i] = np.nextafter(edges.imag[i], direction)
            terms = replace(scorer.terms, edges=edges)
            with pytest.raises(ScorerMismatchError):
                verify_scorer(model, replace(scorer, terms=terms), np.zeros((1, INPUTS)))
    with pytest.raises(ScorerMismatchError, match="probability"):
        verify_scorer(model, scorer_of(model.classifier), np.zeros((1, INPUTS)))


def test_verify_scorer_compares_the_given_rows() -> None:
    class Odd(CalibratedModel):
        """Model with another score for one row."""

        def decision_function(self, x: np.ndarray) -> np.ndarray:
            return super().decision_function(x) + 1e-6 * (x[:, 0] == 12.25)

    model = fitted(boosting())
    rows = customers(10, seed=3)
    verify_scorer(Odd(model), scorer_of(model), rows)
    rows[7, 0] = 12.25
    with pytest.raises(ScorerMismatchError, match=r"of row 7 is .* \(1 of "):
        verify_scorer(Odd(model), scorer_of(model), rows)


@pytest.mark.parametrize("family", ADDITIVE)
def test_compiled_scorer_contributions_equal_those_of_the_model(family: str) -> None:
    model, x = trained(family, tuple(FAMILIES[family].defaults.items()), "none", 2), customers(40, seed=9)
    typical = [2.0, 0.0, 1.5, None, 3.0]
    expected = compute_contributions(model.decision_function, x, typical)
    scorer = scorer_of(model)
    found = scorer.contributions(x, typical)
    for name in ("base", "log_odds", "values"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-12)
    assert found.log_odds.tobytes() == scorer.log_odds(x).tobytes()
    for chosen in ([7], [39, 3, 3], list(range(11, 29))):
        assert scorer.contributions(x[chosen], typical).values.tobytes() == found.values[chosen].tobytes()
    assert isinstance(scorer_of(model).terms, LinearTerms if family == "logistic" else StepTerms)


@pytest.mark.parametrize("family", ADDITIVE)
def test_compiled_scorer_few_rows_is_five_times_faster_than_scikit_learn(family: str) -> None:
    model = trained(family, tuple(FAMILIES[family].defaults.items()), "isotonic", 2)
    scorer, x = scorer_of(model), customers(8, seed=9)
    compiled_seconds, sklearn_seconds = (
        min(timeit.repeat(lambda score=score: score(x), number=10, repeat=20))
        for score in (scorer.probabilities, model.predict_proba)
    )
    assert compiled_seconds < sklearn_seconds / 5
