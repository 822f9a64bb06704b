"""Serving contract of a model: inputs, threshold, fingerprint, reference inputs and scored examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.core.types import Floats
from holdfast.models.contract import MODEL_NAME, ScoredExample, ServedModel
from holdfast.training.category_encoding import name_categories
from holdfast.training.dataset import TrainingSet
from holdfast.training.fitting import predict_churn
from holdfast.training.label_query import current_label
from holdfast.training.recipe import Recipe

_LOW, _HIGH = 0.05, 0.95
_MOST_CATEGORIES = 5  # per input in the examples, which a tag of the registry stores
_NEW_CATEGORY = 0.5  # the code of no text


def build_contract(
    settings: Settings,
    recipe: Recipe,
    fitted: TrainingSet,
    fingerprint: dict[str, str],
    model: Any,
    sha256: str,
    model_name: str = MODEL_NAME,
) -> ServedModel:
    """Build the serving contract of a fitted model.

    Args:
        settings: Settings with the label.
        recipe: Recipe of the model.
        fitted: Rows on which the shipped model was fitted.
        fingerprint: Fingerprint of the definitions.
        model: Fitted model.
        sha256: Digest of the model's file.
        model_name: Name of the registered model.

    Returns:
        Contract without a version, which only the registry assigns.
    """
    label = current_label(settings)
    latest = fitted.at_cutoffs([fitted.keys["cutoff"].max()]).x
    categorical = [column for column, feature in enumerate(fitted.inputs) if feature.is_categorical]
    reference = typical_inputs(latest, categorical)
    return ServedModel(
        model_name=model_name,
        model_version="",
        feature_service=FEATURE_SERVICE,
        inputs=[feature.name for feature in fitted.inputs],
        reference=reference,
        threshold=recipe.threshold,
        label_name=label.name,
        horizon_days=label.horizon_days,
        activity_days=label.activity_days,
        grace_days=label.grace_days,
        label_sql=label.sql,
        fingerprint=fingerprint,
        model_sha256=sha256,
        examples=score_examples(model, build_example_rows(reference, latest, categorical)),
        categories=name_categories(fitted),
    )


def typical_inputs(latest: Floats, categorical: Sequence[int] = ()) -> list[float | None]:
    """Compute the reference customer of the reason codes: the median of each input at the latest cut-off.

    Of a categorical input it is the most frequent category.

    Inputs that few customers have are None. Their median would come from other customers than the rest: one purchase
    day, and still a usual gap between purchases.

    Args:
        latest: Inputs at the latest cut-off, shape (rows, inputs).
        categorical: Columns of the categorical inputs.

    Returns:
        Value per input; None where at least half of the rows have no value.
    """
    typical: list[float | None] = []
    for number, column in enumerate(latest.T):
        known = column[np.isfinite(column)]
        if len(known) <= len(column) / 2:
            typical.append(None)
        else:
            typical.append(_most_frequent(known)[0] if number in categorical else float(np.median(known)))
    return typical


def build_example_rows(
    typical: Sequence[float | None], latest: Floats, categorical: Sequence[int] = ()
) -> list[list[float | None]]:
    """Build example rows: the reference customer, and variants with one input low, high or missing.

    Low and high are the 5% and 95% quantiles; of a categorical input, the most frequent categories and a new one. So
    every input varies in some row, and no row is a customer's.

    Args:
        typical: Inputs of the reference customer.
        latest: Inputs at the latest cut-off, shape (rows, inputs).
        categorical: Columns of the categorical inputs.

    Returns:
        Distinct rows; an input is missing only if it is missing for some customers.
    """
    rows = [list(typical)]
    for i, column in enumerate(latest.T):
        known = column[np.isfinite(column)]
        values: list[float | None]
        if i in categorical:
            values = [*_most_frequent(known), _NEW_CATEGORY]
        else:
            values = np.quantile(known, [_LOW, _HIGH]).tolist() if len(known) else []
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


def _most_frequent(codes: Floats) -> list[float]:
    """Return the most frequent codes, the most frequent first; of equally frequent ones the smallest first."""
    distinct, counts = np.unique(codes, return_counts=True)
    found: list[float] = distinct[np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]].tolist()
    return found
