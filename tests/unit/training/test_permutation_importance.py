"""Permutation importance: useful and useless features, and shuffles within a cut-off."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from holdfast.models.contract import Feature
from holdfast.training.dataset import TrainingSet
from holdfast.training.permutation_importance import compute_permutation_importance

NAMES = ["strong", "weak", "noise", "unused", "month"]
WEIGHTS = np.array([1.5, 0.5, 0.0, 0.0, 1.0])


def _customers(seed: int, customers: int = 400) -> TrainingSet:
    """Draw rows at three cut-offs; churn depends on the first two inputs and on the month."""
    generator = np.random.default_rng(seed)
    own = generator.normal(size=(customers, 4))
    months = [0.0, 1.0, 2.0]
    x = np.vstack([np.c_[own + 0.3 * generator.normal(size=own.shape), np.full(customers, month)] for month in months])
    y = generator.logistic(size=len(x)) < x @ WEIGHTS - 1
    cutoffs = np.repeat(pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"]).tz_localize("UTC"), customers)
    keys = pd.DataFrame({"customer_id": [f"c{n}" for n in range(customers)] * 3, "cutoff": cutoffs})
    return TrainingSet(keys, x, y, [Feature("v", name, "Float64", False) for name in NAMES])


@pytest.fixture(scope="module")
def holdout() -> TrainingSet:
    """Return customers on which the model was not fitted."""
    return _customers(seed=1)


@pytest.fixture(scope="module")
def model() -> LogisticRegression:
    """Return a model fitted on other customers; it does not use the input "unused", and uses noise a little."""
    train = _customers(seed=2)
    x = train.x.copy()
    x[:, 3] = 0
    return LogisticRegression().fit(x, train.y)


def test_compute_permutation_importance_useful_features_positive_drop(
    model: LogisticRegression, holdout: TrainingSet
) -> None:
    found = compute_permutation_importance(model.decision_function, holdout, seed=0)
    assert [item.feature for item in found[:2]] == ["strong", "weak"]
    assert {item.feature for item in found} == set(NAMES)
    drops = [item.drop.value for item in found]
    assert drops == sorted(drops, reverse=True)
    by_name = {item.feature: item.drop for item in found}
    for name in ("strong", "weak"):
        assert 0 < by_name[name].low < by_name[name].value < by_name[name].high
    assert model.coef_[0, 2] != 0
    assert by_name["noise"].low < 0 < by_name["noise"].high
    assert by_name["unused"].low == by_name["unused"].value == by_name["unused"].high == 0


def test_compute_permutation_importance_feature_constant_per_cutoff_zero_drop(
    model: LogisticRegression, holdout: TrainingSet
) -> None:
    """A shuffle over all months would lower ROC-AUC much, because the base rate changes."""
    assert model.coef_[0, 4] > 0.5
    found = {
        item.feature: item.drop for item in compute_permutation_importance(model.decision_function, holdout, seed=0)
    }
    assert (found["month"].low, found["month"].value, found["month"].high) == (0, 0, 0)


def test_compute_permutation_importance_each_call_shuffles_one_column_within_cutoffs(holdout: TrainingSet) -> None:
    matrices = []

    def scores(x: np.ndarray) -> np.ndarray:
        matrices.append(x.copy())
        return x[:, 0]

    compute_permutation_importance(scores, holdout, seed=0, repeats=2, resamples=50)
    assert len(matrices) == 1 + 2 * len(NAMES)
    assert matrices[0].tolist() == holdout.x.tolist()
    for call, x in enumerate(matrices[1:]):
        column = call // 2
        others = np.arange(len(NAMES)) != column
        assert (x[:, others] == holdout.x[:, others]).all()
        for start in range(0, 1200, 400):
            rows = slice(start, start + 400)
            assert sorted(x[rows, column]) == sorted(holdout.x[rows, column])
        assert NAMES[column] == "month" or (x[:, column] != holdout.x[:, column]).mean() > 0.95
    assert not np.array_equal(matrices[1][:, 0], matrices[2][:, 0])


def test_compute_permutation_importance_mixed_rows_shuffled_within_cutoffs(holdout: TrainingSet) -> None:
    mixed = holdout.take(np.random.default_rng(3).permutation(len(holdout.y)))
    month = NAMES.index("month")

    def scores(x: np.ndarray) -> np.ndarray:
        assert (x[:, month] == mixed.x[:, month]).all()
        return x[:, 0]

    compute_permutation_importance(scores, mixed, seed=0, repeats=1, resamples=50)


def test_compute_permutation_importance_same_seed_same_result(model: LogisticRegression, holdout: TrainingSet) -> None:
    def run(seed: int) -> list:
        return compute_permutation_importance(model.decision_function, holdout, seed, resamples=50, max_rows=600)

    assert run(4) == run(4)
    assert run(4) != run(5)


def test_compute_permutation_importance_only_useful_input_drop_equals_manual_value(holdout: TrainingSet) -> None:
    """Compare with a manual calculation for the only input of a model: nothing is left without it."""
    found = compute_permutation_importance(lambda x: x[:, 0], holdout, seed=0, repeats=20, resamples=50)
    base = roc_auc_score(holdout.y, holdout.x[:, 0])
    assert found[0].feature == "strong"
    assert found[0].drop.value == pytest.approx(base - 0.5, abs=0.02)


def test_compute_permutation_importance_large_data_samples_whole_customers(holdout: TrainingSet) -> None:
    sizes = []

    def scores(x: np.ndarray) -> np.ndarray:
        sizes.append(len(x))
        for month in (0.0, 1.0, 2.0):
            assert (x[:, -1] == month).sum() * 3 == len(x)
        return x[:, 0]

    compute_permutation_importance(scores, holdout, seed=0, repeats=1, resamples=50, max_rows=500)
    assert set(sizes) == {498}


def test_compute_permutation_importance_missing_values_shuffled(holdout: TrainingSet) -> None:
    x = holdout.x.copy()
    x[holdout.y & (x[:, 3] > 0), 3] = np.nan  # the missing value indicates churn
    data = TrainingSet(holdout.keys, x, holdout.y, holdout.inputs)
    found = compute_permutation_importance(lambda x: np.isnan(x[:, 3]).astype(float), data, seed=0)
    assert found[0].feature == "unused"
    assert found[0].drop.low > 0.1
