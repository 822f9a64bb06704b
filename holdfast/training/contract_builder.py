"""Serving contract of a model: inputs, threshold, fingerprint, reference inputs and scored examples."""

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
    settings: Settings, recipe: Recipe, fitted: TrainingSet, fingerprint: dict[str, str], model: Any, sha256: str
) -> ServedModel:
    """Build the serving contract of a fitted model.

    Args:
        settings: Settings with horizon and activity window.
        recipe: Recipe of the model.
        fitted: Rows on which the shipped model was fitted.
        fingerprint: Fingerprint of the definitions.
        model: Fitted model.
        sha256: Digest of the model's file.

    Returns:
        Contract without a version, which only the registry assigns.
    """
    latest = fitted.at_cutoffs([fitted.keys["cutoff"].max()]).x
    reference = typical_inputs(latest)
    return ServedModel(
        model_name=MODEL_NAME,
        model_version="",
        feature_service=FEATURE_SERVICE,
        inputs=[feature.name for feature in fitted.inputs],
        reference=reference,
        threshold=recipe.threshold,
        horizon_days=settings.horizon_days,
        activity_days=settings.activity_days,
        fingerprint=fingerprint,
        model_sha256=sha256,
        examples=score_examples(model, build_example_rows(reference, latest)),
    )


def typical_inputs(latest: Floats) -> list[float | None]:
    """Compute the reference customer of the reason codes: the median of each input at the latest cut-off.

    Inputs that few customers have are None. Their median would come from other customers than the rest: one purchase
    day, and still a usual gap between purchases.

    Args:
        latest: Inputs at the latest cut-off, shape (rows, inputs).

    Returns:
        Median per input; None where at least half of the rows have no value.
    """
    known = np.isfinite(latest)
    return [
        float(np.median(column[there])) if there.mean() > 0.5 else None
        for column, there in zip(latest.T, known.T, strict=True)
    ]


def build_example_rows(typical: Sequence[float | None], latest: Floats) -> list[list[float | None]]:
    """Build example rows: the reference customer, and variants with one input low, high or missing.

    Low and high are the 5% and 95% quantiles. So every input varies in some row, and no row is a customer's.

    Args:
        typical: Inputs of the reference customer.
        latest: Inputs at the latest cut-off, shape (rows, inputs).

    Returns:
        Distinct rows; an input is missing only if it is missing for some customers.
    """
    rows = [list(typical)]
    for i, column in enumerate(latest.T):
        known = column[np.isfinite(column)]
        values: list[float | None] = np.quantile(known, [_LOW, _HIGH]).tolist() if len(known) else []
        values += [None] * (len(known) < len(column))
        rows += [[*typical[:i], value, *typical[i + 1 :]] for value in values]
    return [row for i, row in enumerate(rows) if row not in rows[:i]]


def score_examples(model: Any, rows: Sequence[Sequence[float | None]]) -> list[ScoredExample]:
    """Score example rows, with which the service checks a loaded model.

    Args:
        model: Fitted model.
        rows: Inputs per row; None for a missing value.

    Returns:
        Rows with their churn probabilities.
    """
    scores = predict_churn(model, np.array(rows, dtype=np.float64))  # None becomes NaN
    return [
        ScoredExample(inputs=list(row), churn_probability=score)
        for row, score in zip(rows, scores.tolist(), strict=True)
    ]
