"""Comparison of two models on the same rows, with 95% intervals."""

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from holdfast.core.types import Bools, Floats
from holdfast.model_versions.evidence import NotComputedError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws, percentile_interval
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from holdfast.training.metrics import roc_auc_difference

_ROW = [ENTITY_KEY, "cutoff"]


def compare_roc_auc(rows: TrainingSet, challenger: Floats, champion: Floats, settings: GateSettings) -> Interval:
    """Compute the ROC-AUC difference, challenger minus champion.

    Args:
        rows: Test rows.
        challenger: Scores of the challenger, shape (rows,).
        champion: Scores of the champion, shape (rows,).
        settings: Gate settings with resamples and seed.

    Returns:
        Difference with its 95% interval.
    """
    return roc_auc_difference(rows.y, challenger, champion, _bootstrap(rows.keys, settings))


def compare_brier(rows: TrainingSet, challenger: Floats, champion: Floats, settings: GateSettings) -> Interval:
    """Compute the difference in Brier score, champion minus challenger.

    Args:
        rows: Test rows.
        challenger: Scores of the challenger, shape (rows,).
        champion: Scores of the champion, shape (rows,).
        settings: Gate settings with resamples and seed.

    Returns:
        Difference with its 95% interval.
    """
    return _brier_difference(rows.y, champion, challenger, _bootstrap(rows.keys, settings))


def compare_shared_roc_auc(challenger: pd.DataFrame, champion: pd.DataFrame, settings: GateSettings) -> Interval:
    """Compute the ROC-AUC difference on the rows of both tests, from stored test scores and the challenger's labels.

    For a champion with other features, which cannot score the rows of today.

    Args:
        challenger: Test predictions of the challenger.
        champion: Test predictions of the champion.
        settings: Gate settings with the smallest number of shared rows.

    Returns:
        Difference with its 95% interval.

    Raises:
        NotComputedError: Too few rows are shared.
    """
    shared = _enough_shared(challenger, champion, settings)
    challenging, champions = shared["model_challenger"].to_numpy(), shared["model_champion"].to_numpy()
    return roc_auc_difference(shared["churned"].to_numpy(), challenging, champions, _bootstrap(shared, settings))


def compare_shared_brier(challenger: pd.DataFrame, champion: pd.DataFrame, settings: GateSettings) -> Interval:
    """Compute the difference in Brier score, champion minus challenger, on the rows of both tests.

    Args:
        challenger: Test predictions of the challenger.
        champion: Test predictions of the champion.
        settings: Gate settings with the smallest number of shared rows.

    Returns:
        Difference with its 95% interval.

    Raises:
        NotComputedError: Too few rows are shared.
    """
    shared = _enough_shared(challenger, champion, settings)
    challenging, champions = shared["model_challenger"].to_numpy(), shared["model_champion"].to_numpy()
    return _brier_difference(shared["churned"].to_numpy(), champions, challenging, _bootstrap(shared, settings))


def _enough_shared(challenger: pd.DataFrame, champion: pd.DataFrame, settings: GateSettings) -> pd.DataFrame:
    shared = join_shared_rows(challenger, champion)
    if len(shared) < settings.min_shared_rows:
        raise NotComputedError(
            f"the champion reads other features, and both were tested on only {len(shared)} shared rows; "
            f"{settings.min_shared_rows} are needed"
        )
    return shared


def join_shared_rows(challenger: pd.DataFrame, champion: pd.DataFrame) -> pd.DataFrame:
    """Join the test rows of both versions with the scores of both.

    Args:
        challenger: Test predictions of the challenger.
        champion: Test predictions of the champion.

    Returns:
        Shared rows with labels of the challenger.
    """
    return challenger[[*_ROW, "churned", "model"]].merge(
        champion[[*_ROW, "model"]], on=_ROW, suffixes=("_challenger", "_champion"), validate="1:1"
    )


def compare_brier_with_base_rate(predictions: pd.DataFrame, settings: GateSettings) -> Interval:
    """Compute the difference in Brier score, base rate minus model.

    Args:
        predictions: Test predictions of the version.
        settings: Gate settings with resamples and seed.

    Returns:
        Difference with its 95% interval.
    """
    model, base_rate = (predictions[name].to_numpy() for name in ("model", "base_rate"))
    return _brier_difference(predictions["churned"].to_numpy(), base_rate, model, _bootstrap(predictions, settings))


def largest_difference(rows: TrainingSet, scores: Floats, predictions: pd.DataFrame) -> float:
    """Compute the largest difference between scores of the registered model and of its test.

    Args:
        rows: Test rows, joined again.
        scores: Scores of the registered model, shape (rows,).
        predictions: Test predictions of the version.

    Returns:
        Largest absolute difference.

    Raises:
        NotComputedError: The rows differ from the test rows.
    """
    if rows.keys[_ROW].to_numpy().tolist() != predictions[_ROW].to_numpy().tolist():
        raise NotComputedError(f"the {len(rows.y)} rows joined now differ from the {len(predictions)} rows of the test")
    return float(np.abs(scores - predictions["model"].to_numpy()).max())


def _brier_difference(churned: Bools, left: Floats, right: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """Compute the difference in Brier score, ``left`` minus ``right``, on the same resamples."""
    lost = (churned - left) ** 2 - (churned - right) ** 2
    return percentile_interval(float(lost.mean()), mean_draws(lost, bootstrap))


def _bootstrap(rows: pd.DataFrame, settings: GateSettings) -> CustomerBootstrap:
    return CustomerBootstrap(rows[ENTITY_KEY].to_numpy(), settings.resamples, settings.seed)
