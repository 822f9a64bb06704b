"""Two models on the same rows, with the 95% interval of what lies between them."""

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
    """ROC-AUC of the challenger less the champion's on all of ``rows``."""
    return roc_auc_difference(rows.y, challenger, champion, _bootstrap(rows.keys, settings))


def compare_brier(rows: TrainingSet, challenger: Floats, champion: Floats, settings: GateSettings) -> Interval:
    """Brier score of the champion less the challenger's on all of ``rows``."""
    return _brier_difference(rows.y, champion, challenger, _bootstrap(rows.keys, settings))


def compare_shared_roc_auc(challenger: pd.DataFrame, champion: pd.DataFrame, settings: GateSettings) -> Interval:
    """The same on the rows that both were tested on, by what they said then; the challenger's outcomes count.

    For a champion of other features, which the rows of today do not hold.

    Raises:
        NotComputedError: Too few rows are shared.
    """
    shared = _enough_shared(challenger, champion, settings)
    challenging, champions = shared["model_challenger"].to_numpy(), shared["model_champion"].to_numpy()
    return roc_auc_difference(shared["churned"].to_numpy(), challenging, champions, _bootstrap(shared, settings))


def compare_shared_brier(challenger: pd.DataFrame, champion: pd.DataFrame, settings: GateSettings) -> Interval:
    """Brier score of the champion less the challenger's, on the same rows as ``on_shared_predictions``.

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
            f"the champion reads other features, and both were tested on only {len(shared)} same rows of the "
            f"{settings.min_shared_rows} it takes"
        )
    return shared


def join_shared_rows(challenger: pd.DataFrame, champion: pd.DataFrame) -> pd.DataFrame:
    """The challenger's test rows that the champion was tested on too, with both their scores."""
    return challenger[[*_ROW, "churned", "model"]].merge(
        champion[[*_ROW, "model"]], on=_ROW, suffixes=("_challenger", "_champion"), validate="1:1"
    )


def compare_brier_with_base_rate(predictions: pd.DataFrame, settings: GateSettings) -> Interval:
    """Brier score of the base rate less the model's."""
    model, base_rate = (predictions[name].to_numpy() for name in ("model", "base_rate"))
    return _brier_difference(predictions["churned"].to_numpy(), base_rate, model, _bootstrap(predictions, settings))


def largest_difference(rows: TrainingSet, scores: Floats, predictions: pd.DataFrame) -> float:
    """Between the scores of the registered model and those of its test, over the same rows.

    Raises:
        NotComputedError: The rows are not the same.
    """
    if rows.keys[_ROW].to_numpy().tolist() != predictions[_ROW].to_numpy().tolist():
        raise NotComputedError(f"the test had {len(predictions)} rows, now they are {len(rows.y)} or others")
    return float(np.abs(scores - predictions["model"].to_numpy()).max())


def _brier_difference(churned: Bools, left: Floats, right: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """Brier score of ``left`` less that of ``right``, on the same resamples."""
    lost = (churned - left) ** 2 - (churned - right) ** 2
    return percentile_interval(float(lost.mean()), mean_draws(lost, bootstrap))


def _bootstrap(rows: pd.DataFrame, settings: GateSettings) -> CustomerBootstrap:
    return CustomerBootstrap(rows[ENTITY_KEY].to_numpy(), settings.resamples, settings.seed)
