"""What serving must know of a model, as far as training knows it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.core.types import Floats
from holdfast.models.contract import MODEL_NAME, ScoredExample, ServedModel
from holdfast.training.dataset import TrainingSet
from holdfast.training.fitting import predict_churn
from holdfast.training.recipe import Recipe

_LOW, _HIGH = 0.05, 0.95


def build_contract(
    settings: Settings, recipe: Recipe, development: TrainingSet, fingerprint: dict[str, str], model: Any, sha256: str
) -> ServedModel:
    """The contract of a fitted model whose file has the digest ``sha256``; the registry alone knows its version."""
    latest = development.at_cutoffs([development.keys["cutoff"].max()]).x
    reference = typical_inputs(latest)
    return ServedModel(
        model_name=MODEL_NAME,
        model_version="",
        feature_service=FEATURE_SERVICE,
        inputs=[feature.name for feature in development.inputs],
        reference=reference,
        threshold=recipe.threshold,
        horizon_days=settings.horizon_days,
        activity_days=settings.activity_days,
        fingerprint=fingerprint,
        model_sha256=sha256,
        examples=score_examples(model, build_example_rows(reference, latest)),
    )


def typical_inputs(latest: Floats) -> list[float | None]:
    """The median of each input over the rows of the latest cut-off; None where at least half of them have no value.

    Reasons compare a customer with this one. Over all cut-offs, inputs that few have would belong to other
    customers than the rest: one purchase day, and yet a usual gap.
    """
    known = np.isfinite(latest)
    return [
        float(np.median(column[there])) if there.mean() > 0.5 else None
        for column, there in zip(latest.T, known.T, strict=True)
    ]


def build_example_rows(typical: Sequence[float | None], latest: Floats) -> list[list[float | None]]:
    """The typical customer, and the same with one input low, high, or missing where it is missing for some.

    Low and high are the 5% and 95% quantiles of ``latest``, shape (rows, inputs). So every input has its say in some
    row, and no row is a customer's.
    """
    rows = [list(typical)]
    for i, column in enumerate(latest.T):
        known = column[np.isfinite(column)]
        values: list[float | None] = np.quantile(known, [_LOW, _HIGH]).tolist() if len(known) else []
        values += [None] * (len(known) < len(column))
        rows += [[*typical[:i], value, *typical[i + 1 :]] for value in values]
    return [row for i, row in enumerate(rows) if row not in rows[:i]]


def score_examples(model: Any, rows: Sequence[Sequence[float | None]]) -> list[ScoredExample]:
    """``rows`` with what the model says of them."""
    scores = predict_churn(model, np.array(rows, dtype=np.float64))  # None becomes NaN
    return [
        ScoredExample(inputs=list(row), churn_probability=score)
        for row, score in zip(rows, scores.tolist(), strict=True)
    ]
