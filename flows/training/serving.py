"""What serving must know of a model, as far as training knows it."""

import numpy as np

from feature_repo.model_contract import FEATURE_SERVICE, MODEL_NAME, ServedModel
from feature_repo.settings import Settings
from flows.training.dataset import TrainingSet
from flows.training.recipe import Recipe


def served_model(
    settings: Settings, recipe: Recipe, development: TrainingSet, fingerprint: dict[str, str]
) -> ServedModel:
    """The contract of a model; the registry alone knows its version and the digest of its file."""
    return ServedModel(
        model_name=MODEL_NAME,
        model_version="",
        feature_service=FEATURE_SERVICE,
        inputs=[feature.name for feature in development.inputs],
        reference=typical_customer(development),
        threshold=recipe.threshold,
        horizon_days=settings.horizon_days,
        activity_days=settings.activity_days,
        fingerprint=fingerprint,
        model_sha256="",
    )


def typical_customer(data: TrainingSet) -> list[float | None]:
    """The median of each input at the latest cut-off; None where at least half of the customers have no value.

    Reasons compare a customer with this one. Over all cut-offs, inputs that few have would belong to other
    customers than the rest: one purchase day, and yet a usual gap.
    """
    latest = data.at([data.keys["cutoff"].max()]).x
    known = np.isfinite(latest)
    return [
        float(np.median(column[there])) if there.mean() > 0.5 else None
        for column, there in zip(latest.T, known.T, strict=True)
    ]
