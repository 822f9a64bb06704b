"""A model is loaded only if its file is the registered one and it scores as in training."""

import hashlib
import io
import zipfile
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from holdfast.models.additive_terms import arcsinh_inputs
from holdfast.models.compiled_scorer import CompiledScorer, ScorerMismatchError
from holdfast.models.contract import ScoredExample, ServedModel
from holdfast.training.contract_builder import build_contract as build_training_contract
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.model_families import FAMILIES
from holdfast.training.recipe import BASE_RATE, Calibration
from services.errors import NotReadyError
from services.models.loader import load_served_model
from tests.support.recipes import make_recipe
from tests.support.registry import build_contract, fit_classifier, serialize_model
from tests.support.shop_fixtures import Dataset


def _saved(model: Any = None, **changed: Any) -> tuple[ServedModel, bytes]:
    model = model or fit_classifier()
    content = serialize_model(model)
    return build_contract(model, content, model_version="7", **changed), content


def _refusal(contract: ServedModel, content: bytes) -> NotReadyError:
    with pytest.raises(NotReadyError) as refused:
        load_served_model(contract, content)
    assert "7" in refused.value.message
    return refused.value


def _rows(count: int = 500) -> np.ndarray:
    x = np.random.default_rng(5).normal(size=(count, 3))
    x[::4, 2] = np.nan
    return x


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(HistGradientBoostingClassifier(max_iter=5, interaction_cst="no_interactions")),
        make_pipeline(
            FunctionTransformer(arcsinh_inputs),
            SimpleImputer(strategy="median", add_indicator=True),
            StandardScaler(),
            LogisticRegression(),
        ),
    ],
    ids=["boosting", "logistic"],
)
def test_load_model_scores_as_the_file(pipeline: Any) -> None:
    x = _rows()
    fitted = pipeline.fit(x, x[:, 0] > 0)
    model = load_served_model(*_saved(fitted))
    assert model.scorer is not None
    np.testing.assert_allclose(model.churn_probabilities(x), fitted.predict_proba(x)[:, 1], rtol=0, atol=1e-12)
    one_by_one = [model.churn_probabilities(row[None])[0] for row in x[:50]]
    assert one_by_one == model.churn_probabilities(x)[:50].tolist()


@pytest.mark.parametrize(
    ("family", "calibration"), [*((name, "sigmoid") for name in FAMILIES), ("bg_nbd", "isotonic"), (BASE_RATE, "none")]
)
def test_load_model_every_family_scores_and_explains_as_trained(
    dataset: Dataset, family: str, calibration: Calibration
) -> None:
    """From training set through contract and file to the service: scores, reasons, single rows as in a batch."""
    recipe = make_recipe(dataset.split.development, dataset.split.test, family).model_copy(
        update={"calibration": calibration, "folds": dataset.split.folds}
    )
    rows, x = dataset.data.at_cutoffs(recipe.development), dataset.data.at_cutoffs(recipe.test).x
    trained = fit_recipe(recipe, dataset.data)
    content = serialize_model(trained)
    contract = build_training_contract(
        dataset.settings, recipe, rows, {}, trained, hashlib.sha256(content).hexdigest()
    ).model_copy(update={"model_version": "7"})
    model = load_served_model(contract, content)
    assert model.scorer is not None
    expected = predict_churn(trained, x)
    np.testing.assert_allclose(model.churn_probabilities(x), expected, rtol=0, atol=1e-12)
    assert [model.churn_probabilities(row[None])[0] for row in x[:20]] == model.churn_probabilities(x)[:20].tolist()
    explained = model.contributions(x)
    np.testing.assert_allclose(explained.base + explained.values.sum(axis=1), explained.log_odds, rtol=0, atol=1e-9)
    assert (explained.values != 0).any() == (family != BASE_RATE)


def test_load_model_without_compiled_scorer_scores_as_the_file() -> None:
    x = np.nan_to_num(_rows())
    fitted = make_pipeline(SimpleImputer(), LogisticRegression()).fit(x, x[:, 0] > 0)
    model = load_served_model(*_saved(fitted))
    assert model.scorer is None
    assert model.churn_probabilities(x).tolist() == fitted.predict_proba(x)[:, 1].tolist()


def test_load_model_with_differing_scorer_does_not_use_it(
    monkeypatch: pytest.MonkeyPatch, service_log: pytest.LogCaptureFixture
) -> None:
    def differs(*_: object) -> None:
        raise ScorerMismatchError("row 0 differs")

    monkeypatch.setattr("holdfast.models.loaded_model.verify_scorer", differs)
    assert load_served_model(*_saved()).scorer is None
    assert "The compiled form of holdfast-churn version 7 is not used: row 0 differs" in service_log.text


def test_load_model_with_changed_byte_raises() -> None:
    contract, content = _saved()
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    assert "SHA-256" in _refusal(contract, bytes(changed)).message


def test_load_model_with_untrusted_types_raises() -> None:
    content = serialize_model(FunctionTransformer(hashlib.sha256))
    refusal = _refusal(build_contract(None, content, model_version="7"), content)
    assert "not trusted" in refusal.message
    assert "hashlib" in refusal.remedy


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"PK\x03\x04 and nothing more"])
def test_load_model_of_invalid_content_raises(content: bytes) -> None:
    assert "cannot be read" in _refusal(build_contract(None, content, model_version="7"), content).message


def test_load_model_of_other_archive_raises() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("schema.json", "{}")
    content = file.getvalue()
    assert "cannot be read" in _refusal(build_contract(None, content, model_version="7"), content).message


@pytest.mark.parametrize("classes", [[0, 1, 2], [2, 3]])
def test_load_model_with_other_classes_raises(classes: list[int]) -> None:
    x = np.nan_to_num(_rows())
    for fitted in (LogisticRegression().fit(x, np.resize(classes, len(x))), StandardScaler().fit(x)):
        content = serialize_model(fitted)
        assert "two classes" in _refusal(build_contract(fit_classifier(), content, model_version="7"), content).message


@pytest.mark.parametrize("inputs", [2, 4])
def test_load_model_with_other_inputs_raises(inputs: int) -> None:
    content = serialize_model(fit_classifier(inputs=inputs))
    assert (
        f"has {inputs} inputs, its contract has 3"
        in _refusal(build_contract(fit_classifier(), content, model_version="7"), content).message
    )


class TestExamples:
    def test_example_with_score_is_named_with_both_scores(self) -> None:
        contract, content = _saved()
        first, second, third = contract.examples
        score = second.churn_probability + 2e-12
        wrong = [first, ScoredExample(inputs=second.inputs, churn_probability=score), third]
        refusal = _refusal(contract.model_copy(update={"examples": wrong}), content)
        assert (
            f"scores its example 1 with {second.churn_probability!r}; in training it was {score!r}" in refusal.message
        )

    def test_example_with_rounding_difference_is_accepted(self) -> None:
        contract, content = _saved()
        close = [
            ScoredExample(inputs=item.inputs, churn_probability=item.churn_probability + 5e-13)
            for item in contract.examples
        ]
        assert load_served_model(contract.model_copy(update={"examples": close}), content).contract.examples == close

    def test_example_with_other_compiled_score_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The compiled scorer is checked itself, even if it agrees with the model."""
        monkeypatch.setattr("holdfast.models.loaded_model.verify_scorer", lambda *_: None)
        monkeypatch.setattr(CompiledScorer, "probabilities", lambda _, inputs: np.full(len(inputs), 0.25))
        assert "scores its example 0 with 0.25" in _refusal(*_saved()).message

    def test_contract_without_examples_raises(self) -> None:
        assert "no examples" in _refusal(*_saved(examples=[])).message

    def test_example_that_cannot_be_scored_raises(self) -> None:
        x = np.nan_to_num(_rows())
        fitted = LogisticRegression().fit(x, x[:, 0] > 0)  # it takes no missing values, and an example has one
        content = serialize_model(fitted)
        contract = build_contract(fit_classifier(), content, model_version="7")
        refusal = _refusal(contract, content)
        assert "cannot score its examples" in refusal.message
        assert "NaN" in refusal.remedy


def test_load_model_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    original = CompiledScorer.probabilities

    def counted(self: CompiledScorer, inputs: Any) -> Any:
        rows.append(len(inputs))
        return original(self, inputs)

    monkeypatch.setattr(CompiledScorer, "probabilities", counted)
    load_served_model(*_saved())
    assert rows.count(1) >= 2
    assert max(rows) >= 100
