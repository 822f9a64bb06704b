"""Tests of the calibrated model: probabilities, and equal bits after saving and loading."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from scipy.special import expit
from sklearn.base import clone
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from holdfast.models.calibrated_classifier import CalibratedModel, apply_calibrator
from holdfast.models.contract import TRUSTED_TYPES
from tests.support.additive_models import boosting, customers, fitted, logistic, outcomes

METHODS = ["none", "sigmoid", "isotonic"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Boosting's threads would wait for each other by spinning."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="module", params=["logistic", "boosting"])
def classifier(request: pytest.FixtureRequest) -> Any:
    """Each family, fitted."""
    return fitted(logistic() if request.param == "logistic" else boosting())


def _calibrator(method: str, log_odds: np.ndarray, churned: np.ndarray) -> Any:
    if method == "sigmoid":
        return LogisticRegression(C=1e9).fit(log_odds.reshape(-1, 1), churned)
    return IsotonicRegression(out_of_bounds="clip").fit(log_odds, churned) if method == "isotonic" else None


@pytest.fixture(params=METHODS)
def model(classifier: Any, request: pytest.FixtureRequest) -> CalibratedModel:
    """With each calibrator, fitted on other customers than the classifier."""
    x = customers(800, seed=3)
    log_odds = classifier.decision_function(x)
    return CalibratedModel(classifier, _calibrator(request.param, log_odds, outcomes(x, seed=4)))


X = customers(400, seed=5)


def test_calibrated_model_saved_and_loaded_returns_the_same_bits(model: CalibratedModel, tmp_path: Path) -> None:
    file = tmp_path / "model.skops"
    skops.io.dump(model, file)
    assert set(skops.io.get_untrusted_types(file=file)) <= set(TRUSTED_TYPES)
    loaded = skops.io.load(file, trusted=TRUSTED_TYPES)
    assert type(loaded) is CalibratedModel
    assert loaded.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    assert loaded.decision_function(X).tobytes() == model.decision_function(X).tobytes()
    assert loaded.classes_.tolist() == model.classes_.tolist() == [False, True]


def test_predict_proba_returns_probabilities_of_both_classes(model: CalibratedModel) -> None:
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (len(X), 2)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-15)


def test_predict_proba_has_the_order_of_the_log_odds(model: CalibratedModel) -> None:
    ranked = model.predict_proba(X)[np.argsort(model.decision_function(X)), 1]
    assert (np.diff(ranked) >= 0).all()


def test_decision_function_is_that_of_the_classifier_and_predict_proba_calibrates(model: CalibratedModel) -> None:
    log_odds = model.decision_function(X)
    assert log_odds.tobytes() == model.classifier.decision_function(X).tobytes()
    assert model.predict_proba(X)[:, 1].tobytes() == apply_calibrator(model.calibrator, log_odds).tobytes()


def test_apply_calibrator_equals_reference_values() -> None:
    log_odds = np.array([-3.0, 0.0, 2.0])
    assert apply_calibrator(None, log_odds).tolist() == expit(log_odds).tolist()
    platt = LogisticRegression()
    platt.classes_, platt.coef_, platt.intercept_ = np.array([False, True]), np.array([[0.5]]), np.array([-1.0])
    np.testing.assert_allclose(apply_calibrator(platt, log_odds), expit(0.5 * log_odds - 1), rtol=1e-15)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit([-1.0, 1.0], [0.2, 0.6])
    assert apply_calibrator(isotonic, log_odds) == pytest.approx([0.2, 0.4, 0.6])


def test_predict_proba_without_calibrator_equals_classifier(classifier: Any) -> None:
    np.testing.assert_allclose(
        CalibratedModel(classifier).predict_proba(X), classifier.predict_proba(X), rtol=0, atol=1e-15
    )


def test_apply_calibrator_overconfident_classifier_improves_brier_score(classifier: Any) -> None:
    class TooSure:
        classes_ = classifier.classes_

        def decision_function(self, x: np.ndarray) -> np.ndarray:
            return 4 * classifier.decision_function(x) + 2

    x = customers(3000, seed=6)
    churned = outcomes(x, seed=7)
    for method in ("sigmoid", "isotonic"):
        fit, test = slice(0, 1500), slice(1500, None)
        model = CalibratedModel(TooSure(), _calibrator(method, TooSure().decision_function(x[fit]), churned[fit]))
        before, after = (
            ((CalibratedModel(TooSure(), item).predict_proba(x[test])[:, 1] - churned[test]) ** 2).mean()
            for item in (None, model.calibrator)
        )
        assert after < before - 0.02


def test_calibrated_model_supports_clone_and_set_params(model: CalibratedModel) -> None:
    copy = clone(model)
    assert copy.classifier is not model.classifier
    assert type(copy.calibrator) is type(model.calibrator)
    assert not hasattr(copy.classifier, "classes_")  # a clone is unfitted, as every clone
    assert set(model.get_params(deep=False)) == {"classifier", "calibrator"}
    assert model.set_params(calibrator=None).calibrator is None
