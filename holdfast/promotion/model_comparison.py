"""Comparison of two models on the same rows, with 95% intervals."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from feature_repo.names import ENTITY_KEY
from holdfast.core.formatting import format_count
from holdfast.core.types import Floats
from holdfast.model_versions.evidence import NotComputedError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.bootstrap import (
    CustomerBootstrap,
    bootstrap_rows,
    mean_draws,
    percentile_interval,
)
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from holdfast.training.metrics import average_monthly_roc_auc, level_offset, roc_auc_difference, to_log_odds
from holdfast.training.recipe import SERVED

_ROW = [ENTITY_KEY, "cutoff"]


def pair_scores(rows: TrainingSet, model: Floats, champion: Floats) -> pd.DataFrame:
    """Pair the scores of both models on the same rows.

    Args:
        rows: Test rows.
        model: Scores of the model, shape (rows,).
        champion: Scores of the champion, shape (rows,).

    Returns:
        Keys, and columns churned, model and champion.
    """
    return rows.keys.assign(churned=rows.y, model=model, champion=champion)


def pair_shared_scores(model: pd.DataFrame, champion: pd.DataFrame) -> pd.DataFrame:
    """Pair the stored test scores of both models on the rows of both tests, with the labels of the model's test.

    For a champion with other features, which cannot score the rows of today.

    Args:
        model: Test predictions of the model.
        champion: Test predictions of the champion.

    Returns:
        Keys, and columns churned, model and champion.
    """
    champion_scores = champion[[*_ROW, "model"]].rename(columns={"model": "champion"})
    return model[[*_ROW, "churned", "model"]].merge(champion_scores, on=_ROW, validate="1:1")


def use_tested_scores(rows: pd.DataFrame, predictions: pd.DataFrame, fitted: Sequence[datetime]) -> pd.DataFrame:
    """Replace the scores of the champion for rows on which it was fitted.

    A refitted champion has learned the outcomes of its own test months, which the tests of the next trainings share.
    For these rows its tested model, which has not, is compared. A model with a longer horizon than the champion is
    tested on earlier months, which the champion may have learned too.

    Args:
        rows: Paired scores.
        predictions: Test predictions of the champion.
        fitted: Cut-offs on which the champion was fitted.

    Returns:
        Paired scores without the rows on which the champion was fitted and not tested.
    """
    tested = rows[_ROW].merge(predictions[[*_ROW, "model"]], on=_ROW, how="left", validate="1:1")["model"].to_numpy()
    learned = rows["cutoff"].isin(list(fitted)).to_numpy()
    usable = ~learned | np.isfinite(tested)
    return rows.assign(champion=np.where(learned, tested, rows["champion"]))[usable]


def compare_roc_auc(rows: pd.DataFrame, settings: GateSettings) -> Interval:
    """Compute the ROC-AUC difference, model minus champion.

    Args:
        rows: Paired scores.
        settings: Gate settings with resamples and seed.

    Returns:
        Difference with its 95% interval.
    """
    churned, model, champion = (rows[name].to_numpy() for name in ("churned", "model", "champion"))
    return roc_auc_difference(churned, model, champion, _bootstrap(rows, settings))


def compare_brier(rows: pd.DataFrame, settings: GateSettings, reference: str = "champion") -> Interval:
    """Compute the difference in Brier score, reference minus model.

    Args:
        rows: Paired scores, or test predictions of the version.
        settings: Gate settings with resamples and seed.
        reference: Column of the reference's scores.

    Returns:
        Difference with its 95% interval.
    """
    churned, model, other = (rows[name].to_numpy() for name in ("churned", "model", reference))
    lost = (churned - other) ** 2 - (churned - model) ** 2
    return percentile_interval(float(lost.mean()), mean_draws(lost, _bootstrap(rows, settings)))


def remove_level(predictions: pd.DataFrame) -> pd.DataFrame:
    """Remove the level of each cut-off from the scores of the model and of the base rate.

    Args:
        predictions: Test predictions of the version.

    Returns:
        The predictions of the cut-offs with both outcomes, with the model's scores after the best single offset and
        the observed churn as base rate.

    Raises:
        NotComputedError: No cut-off has both outcomes.
    """
    parts = []
    for _, rows in _with_both_outcomes(predictions).groupby("cutoff"):
        churned, log_odds = rows["churned"].to_numpy(), to_log_odds(rows["model"].to_numpy())
        parts.append(rows.assign(model=expit(log_odds + level_offset(churned, log_odds)), base_rate=churned.mean()))
    return pd.concat(parts)


def measure_signal(predictions: pd.DataFrame, settings: GateSettings) -> Interval:
    """Compute the mean ROC-AUC within the cut-offs, with an interval over customers and cut-offs.

    A pooled ROC-AUC would count the change of the churn rate from month to month as knowledge about customers. Each end
    is as far from the value as under chance at least (Mann and Whitney, 1947), because resamples of a few churners
    that happen to rank first do not vary; the customers of all cut-offs count as the same.

    Args:
        predictions: Test predictions of the version.
        settings: Gate settings with resamples and seed.

    Returns:
        Mean over the cut-offs with both outcomes.

    Raises:
        NotComputedError: No cut-off has both outcomes.
    """
    predictions = _with_both_outcomes(predictions)
    bootstrap = _bootstrap(predictions, settings)
    churned, scores = (predictions[name].to_numpy() for name in ("churned", "model"))
    found = average_monthly_roc_auc(churned, scores, predictions["cutoff"].to_numpy(), bootstrap)
    months = predictions.groupby("cutoff")["churned"].agg(["size", "sum"])
    errors = np.sqrt((months["size"] + 1) / (12 * months["sum"] * (months["size"] - months["sum"])))
    chance = ndtri(0.975) * float(errors.mean())
    # Resamples of two customers often have one outcome, and then no interval; chance has one.
    low, high = np.fmin(found.low, found.value - chance), np.fmax(found.high, found.value + chance)
    return Interval(value=found.value, low=float(low), high=float(high))


def largest_difference(rows: TrainingSet, scores: Floats, predictions: pd.DataFrame) -> float:
    """Compute the largest difference between scores of the registered model and those that its training recorded.

    After a refit these are the scores of the shipped model; the figures of the test are those of the tested model.

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
        raise NotComputedError(
            f"the {format_count(len(rows.y), 'row')} joined now differ from the "
            f"{format_count(len(predictions), 'row')} of the test"
        )
    recorded = predictions[SERVED if SERVED in predictions else "model"]
    return float(np.abs(scores - recorded.to_numpy()).max())


def _with_both_outcomes(predictions: pd.DataFrame) -> pd.DataFrame:
    """Select the cut-offs with both outcomes; the others rank no customer."""
    found = predictions[predictions.groupby("cutoff")["churned"].transform("nunique") == 2]
    if found.empty:
        raise NotComputedError("no test month has both outcomes")
    return found


def _bootstrap(rows: pd.DataFrame, settings: GateSettings) -> CustomerBootstrap:
    return bootstrap_rows(rows, settings.resamples, settings.seed)
