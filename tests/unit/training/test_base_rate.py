"""The base rate as a family: a constant that is scored and explained as any other model."""

import numpy as np
import pandas as pd
import pytest

from holdfast.models.compiled_scorer import CompiledScorer
from holdfast.models.contract import Feature
from holdfast.training.dataset import TrainingSet
from holdfast.training.model_families import FAMILIES, find_family
from holdfast.training.recipe import BASE_RATE


def test_base_rate_gives_every_customer_the_observed_rate() -> None:
    rng = np.random.default_rng(0)
    x, churned = rng.normal(size=(300, 3)), rng.random(300) < 0.3
    x[::7, 1] = np.nan
    keys = pd.DataFrame({"customer_id": [str(i) for i in range(300)], "cutoff": pd.Timestamp("2024-01-01", tz="UTC")})
    data = TrainingSet(keys, x, churned, [Feature("view", name, "Float64", True) for name in "abc"])
    model = find_family(BASE_RATE).fit({}, data, 0)
    assert model.predict_proba(x)[:, 1] == pytest.approx(np.full(300, churned.mean()), abs=1e-12)
    scorer = CompiledScorer.from_estimator(model, 3)
    assert scorer is not None
    assert scorer.probabilities(x) == pytest.approx(np.full(300, churned.mean()), abs=1e-12)


def test_base_rate_is_never_searched() -> None:
    assert BASE_RATE not in FAMILIES
    assert find_family("logistic") is FAMILIES["logistic"]
