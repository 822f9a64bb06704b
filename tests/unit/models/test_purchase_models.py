"""Purchase models: likelihoods, direction, exact contributions, compiled scores and model files."""

from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import gamma

from holdfast.core.types import Floats
from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.models.compiled_scorer import CompiledScorer, InfiniteInputError, verify_scorer
from holdfast.models.contract import TRUSTED_TYPES
from holdfast.models.contributions import NotAdditiveError, compute_contributions
from holdfast.models.purchase_models import BgNbdModel, ParetoNbdModel, PurchaseModel

CDNOW = {BgNbdModel: (0.243, 30.9, 0.793, 2.426), ParetoNbdModel: (0.553, 74.0, 0.606, 81.7)}
MODELS = list(CDNOW)
COLUMNS = (3, 1, 4)  # purchase days, tenure, days since the last purchase


def cdnow(model: type[PurchaseModel], **changed: Any) -> PurchaseModel:
    """Create a model with the parameters of CDNOW in days, whose inputs are three of six columns."""
    return model(**{"parameters": CDNOW[model], "columns": COLUMNS, "horizon_days": 90.0, "inputs": 6} | changed)


def customers(rows: int, seed: int = 0) -> Floats:
    """Draw inputs: a third of the customers purchased once, the others up to 60 times."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6))
    x[rng.random((rows, 6)) < 0.1] = np.nan
    tenure = rng.uniform(1, 900, rows)
    once = rng.random(rows) < 1 / 3
    x[:, COLUMNS] = np.column_stack(
        [
            np.where(once, 1, rng.integers(2, 60, rows)),
            tenure,
            np.where(once, tenure, tenure * rng.random(rows)),
        ]
    )
    return x


@st.composite
def models(draw: Callable[..., Any]) -> PurchaseModel:
    logarithms = draw(st.tuples(*[st.floats(-4, 4)] * 4))
    model = draw(st.sampled_from(MODELS))
    times = {"alpha": 100.0, "beta": 100.0}
    units = [times.get(name, 1.0) for name in model.parameter_names]
    parameters = tuple(unit * float(np.exp(value)) for unit, value in zip(units, logarithms, strict=True))
    return model(parameters, horizon_days=draw(st.floats(1, 1000)))


@st.composite
def inputs(draw: Callable[..., Any]) -> list[float]:
    """Draw purchase days, tenure and silence."""
    tenure = draw(st.one_of(st.just(0.0), st.floats(0, 10_000)))
    days = draw(st.one_of(st.just(1), st.integers(1, 30), st.integers(1, 10_000)))
    return [float(days), tenure, tenure if days == 1 else tenure * draw(st.floats(0, 1))]


class TestLikelihood:
    def test_bg_nbd_equals_closed_form(self) -> None:
        """Compare with P(alive) (Fader, Hardie and Lee, 2008) and the Gamma posterior of a living customer's rate."""
        r, alpha, a, b = CDNOW[BgNbdModel]
        x = customers(500)
        days, tenure, silence = (x[:, column] for column in COLUMNS)
        repeats, shape = days - 1, r + days - 1
        odds = a / (b + np.maximum(repeats, 1) - 1) * ((alpha + tenure) / (alpha + tenure - silence)) ** shape
        alive = 1 / (1 + np.where(repeats > 0, odds, 0))
        silent = ((alpha + tenure) / (alpha + tenure + 90)) ** shape
        found = cdnow(BgNbdModel).predict_proba(x)
        assert found[:, 1] == pytest.approx(1 - alive * (1 - silent), rel=1e-9)
        assert found.sum(axis=1) == pytest.approx(np.ones(500))

    def test_pareto_nbd_equals_integral_over_both_rates(self) -> None:
        """Compare with the likelihood of known rates, integrated over their Gamma distributions by quantiles."""
        r, alpha, s, beta = CDNOW[ParetoNbdModel]
        quantiles = (np.arange(1_500) + 0.5) / 1_500
        rate = gamma.ppf(quantiles, r, scale=1 / alpha)[:, None]
        death = gamma.ppf(quantiles, s, scale=1 / beta)[None, :]

        def likelihood(repeats: float, last: float, age: float) -> float:
            both = rate + death
            return float((rate**repeats / both * (death * np.exp(-both * last) + rate * np.exp(-both * age))).mean())

        for repeats, last, age in [(0, 0, 30), (0, 0, 400), (1, 20, 200), (3, 190, 200), (3, 50, 300), (8, 290, 300)]:
            model = cdnow(ParetoNbdModel)
            history = [np.array([float(value)]) for value in (repeats, last, age)]
            assert np.exp(model.log_likelihood(*history)[0]) == pytest.approx(likelihood(repeats, last, age), rel=0.01)
            expected = likelihood(repeats, last, age + 90) / likelihood(repeats, last, age)
            found = expit(model.no_purchase_log_odds(*history, 90.0)[0])
            assert found == pytest.approx(expected, abs=0.003)

    @settings(max_examples=200, deadline=None)
    @given(models(), inputs(), st.floats(1, 1000))
    def test_log_odds_equal_ratio_of_likelihoods(self, model: PurchaseModel, row: list[float], horizon: float) -> None:
        days, tenure, silence = row
        repeats, last = np.array([days - 1]), np.array([tenure - silence if days > 1 else 0.0])
        age = np.array([tenure])
        ratio = model.log_likelihood(repeats, last, age + horizon) - model.log_likelihood(repeats, last, age)
        found = model.no_purchase_log_odds(repeats, last, age, horizon)
        assert ratio <= 1e-9
        assert -np.logaddexp(0, -found) == pytest.approx(ratio, rel=1e-6, abs=1e-6)

    @settings(max_examples=200, deadline=None)
    @given(models(), inputs(), st.lists(st.floats(0, 1), min_size=2, max_size=6))
    def test_log_odds_do_not_decrease_with_silence(
        self, model: PurchaseModel, row: list[float], shares: list[float]
    ) -> None:
        days, tenure, _ = row
        rows = np.array([[days, tenure, tenure * share] for share in sorted(shares)])
        log_odds = model.decision_function(rows)
        assert np.isfinite(log_odds).all()
        assert (np.diff(log_odds) >= -1e-9 * (1 + np.abs(log_odds[1:]))).all()

    @pytest.mark.parametrize("model", MODELS)
    def test_log_odds_longer_horizon_lower(self, model: type[PurchaseModel]) -> None:
        x = customers(200)
        scores = [cdnow(model, horizon_days=days).decision_function(x) for days in (30.0, 90.0, 365.0)]
        for longer, shorter in pairwise(scores[::-1]):
            assert (longer <= shorter).all()
            assert longer.mean() < shorter.mean() - 0.1

    @pytest.mark.parametrize("model", MODELS)
    def test_log_odds_unusual_histories_are_finite(self, model: type[PurchaseModel]) -> None:
        """Many purchases, a request before the first purchase, and more silence than tenure."""
        rows = np.zeros((5, 6))
        rows[:, COLUMNS] = [[1e6, 1000, 0], [1e6, 1000, 1000], [3, -5, -5], [3, 100, 400], [0, 100, 50]]
        assert np.isfinite(cdnow(model).decision_function(rows)).all()


class TestContributions:
    @pytest.mark.parametrize("model", MODELS)
    def test_contributions_equal_mean_over_orders(self, model: type[PurchaseModel]) -> None:
        fitted, x, reference = cdnow(model), customers(20), customers(1, seed=5)[0]
        base, log_odds, values = fitted.contributions(x, reference)
        assert base == fitted.decision_function(reference[np.newaxis])[0]
        assert log_odds.tobytes() == fitted.decision_function(x).tobytes()
        np.testing.assert_allclose(base + values.sum(axis=1), log_odds, rtol=1e-12, atol=1e-12)
        expected = np.zeros_like(values)
        for order in permutations(COLUMNS):
            mixed = np.tile(reference, (len(x), 1))
            for column in order:
                before = fitted.decision_function(mixed)
                mixed[:, column] = x[:, column]
                expected[:, column] += (fitted.decision_function(mixed) - before) / 6
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)
        assert (values[:, [0, 2, 5]] == 0).all()

    @pytest.mark.parametrize("model", MODELS)
    def test_compute_contributions_interacting_inputs_equal_those_of_the_scorer(
        self, model: type[PurchaseModel]
    ) -> None:
        fitted, x, reference = cdnow(model), customers(300), customers(1, seed=5)[0]
        found = compute_contributions(fitted.decision_function, x, reference, COLUMNS)
        scorer = CompiledScorer.from_estimator(fitted, 6)
        assert scorer is not None
        typical = [None if np.isnan(value) else float(value) for value in reference]
        assert scorer.contributions(x, typical).values == pytest.approx(found.values, abs=1e-12)
        with pytest.raises(NotAdditiveError):
            compute_contributions(fitted.decision_function, x, reference)


class TestScorer:
    @pytest.mark.parametrize("model", MODELS)
    def test_compiled_scorer_row_has_the_same_bits_in_every_batch(self, model: type[PurchaseModel]) -> None:
        x = customers(257)
        typical = [1.0, 100.0, 1.0, 2.0, 40.0, None]
        scorer = CompiledScorer.from_estimator(cdnow(model), 6)
        assert scorer is not None
        together, explained = scorer.probabilities(x), scorer.contributions(x, typical)
        for start, stop in [*((i, i + 1) for i in range(40)), (3, 5), (7, 15), (100, 131), (0, 256)]:
            for batch in (x[start:stop], np.asfortranarray(x[start:stop]), x[:, ::-1].copy()[start:stop, ::-1]):
                assert scorer.probabilities(batch).tobytes() == together[start:stop].tobytes()
                assert scorer.contributions(batch, typical).values.tobytes() == explained.values[start:stop].tobytes()

    @pytest.mark.parametrize("model", MODELS)
    def test_compiled_scorer_of_loaded_model_equals_estimator(self, model: type[PurchaseModel]) -> None:
        fitted, x = CalibratedModel(cdnow(model)), customers(50)
        saved = skops.io.dumps(fitted)
        assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED_TYPES)
        loaded = skops.io.loads(saved, trusted=TRUSTED_TYPES)
        scorer = CompiledScorer.from_estimator(loaded, 6)
        assert scorer is not None
        verify_scorer(loaded, scorer, x)
        assert scorer.probabilities(x).tobytes() == fitted.predict_proba(x)[:, 1].tobytes()
        assert loaded.classes_.tolist() == [False, True]
        assert loaded.classifier.n_features_in_ == 6

    def test_from_estimator_unfitted_or_other_inputs_returns_none(self) -> None:
        assert CompiledScorer.from_estimator(BgNbdModel(), 3) is None
        assert CompiledScorer.from_estimator(cdnow(BgNbdModel), 5) is None

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("model", MODELS)
    def test_compiled_scorer_missing_or_infinite_input_raises(self, model: type[PurchaseModel], value: float) -> None:
        x = customers(5)
        scorer = CompiledScorer.from_estimator(cdnow(model), 6)
        assert scorer is not None
        for column in COLUMNS:
            rows = x.copy()
            rows[3, column] = value
            if not np.isfinite(cdnow(model).decision_function(rows)).all():
                with pytest.raises(InfiniteInputError, match="Row 3 has an infinite value or lacks one"):
                    scorer.probabilities(rows)

    def test_decision_function_wrong_shape_raises(self) -> None:
        with pytest.raises(ValueError, match="the model has 6 inputs"):
            cdnow(BgNbdModel).decision_function(np.ones((2, 3)))

    @pytest.mark.parametrize("model", MODELS)
    def test_predict_proba_is_logistic_of_decision_function(self, model: type[PurchaseModel]) -> None:
        x = customers(50)
        expected = expit(cdnow(model).decision_function(x))
        assert cdnow(model).predict_proba(x) == pytest.approx(np.column_stack([1 - expected, expected]))
