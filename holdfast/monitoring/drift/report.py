"""Evidently's report of the drift view."""

import pandas as pd

from feature_repo.reason_texts import NEW_CATEGORY
from holdfast.core.types import Floats
from holdfast.monitoring.drift.reference import DriftReference
from holdfast.monitoring.evidently_workspace import build_drift_report


def build_report(reference: DriftReference, current: Floats) -> object | None:
    """Compare inputs and score of the window with the population at training; categories are compared as texts.

    Args:
        reference: Reference data of the version.
        current: Inputs and score, shape (customers, names).

    Returns:
        Evidently's report; None without a column that has values in both.
    """
    frames = [pd.DataFrame(rows, columns=reference.names) for rows in (current, reference.training_population)]
    for name, categories in reference.categories.items():
        for frame in frames:
            texts = frame[name].map(categories.texts)
            frame[name] = texts.mask(texts.isna() & frame[name].notna(), NEW_CATEGORY)
    return build_drift_report(*frames)
