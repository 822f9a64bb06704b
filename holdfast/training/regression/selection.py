"""Choice of the family and hyperparameters of a regression on the folds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from holdfast.core.types import Floats
from holdfast.training.bootstrap import bootstrap_rows
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from holdfast.training.model_families import describe_model
from holdfast.training.regression.families import RegressionFamily, list_regression_families, target_of
from holdfast.training.regression.scores import deviance, mean_interval
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import TimeSplit


@dataclass(frozen=True)
class RegressionChoice:
    """Chosen family and hyperparameters.

    Attributes:
        split: Cut-offs of the folds, of development and of the test.
        fold_deviance: Candidate to its mean deviance on the folds; empty without folds.
        gains: Other family to the deviance that the chosen family saves on the folds.
        over_mean: Deviance that the chosen family saves on the folds over the mean; None without folds.
    """

    family: RegressionFamily
    params: dict[str, Any]
    reason: str
    split: TimeSplit
    fold_deviance: dict[str, float] = field(default_factory=dict)
    gains: dict[str, Interval] = field(default_factory=dict)
    over_mean: Interval | None = None

    @property
    def name(self) -> str:
        """Return the family and its hyperparameters."""
        return describe_model(self.family.name, self.params)


def choose_regression(data: TrainingSet, split: TimeSplit, training: TrainingSettings) -> RegressionChoice:
    """Choose the simplest family that no other significantly outperforms on the folds.

    Args:
        data: Training set with its target.
        split: Cut-offs by use; each fold is fitted on cut-offs whose horizon has closed before its validation.
        training: Candidates, resamples and seed.

    Returns:
        The choice; the simplest family with its first hyperparameters where there are no folds.
    """
    families = list_regression_families(data, training.candidates)
    if not split.folds:
        family = families[0]
        reason = "Too little history to compare candidates: the simplest family with its defaults."
        return RegressionChoice(family, dict(family.grid[0]), reason, split)
    losses: dict[str, Floats] = {}
    params: dict[str, dict[str, Any]] = {}
    tried: dict[str, float] = {}
    mean_loss = np.concatenate([_loss_of_mean(data, fold.fit, fold.validation) for fold in split.folds])
    for family in families:
        for candidate in family.grid:
            loss = _fold_losses(family, candidate, data, split, training.seed)
            tried[describe_model(family.name, candidate)] = float(loss.mean())
            if family.name not in losses or loss.mean() < losses[family.name].mean():
                losses[family.name], params[family.name] = loss, dict(candidate)
    keys = pd.concat([data.at_cutoffs([fold.validation]).keys for fold in split.folds], ignore_index=True)
    bootstrap = bootstrap_rows(keys, training.resamples, training.seed)

    def gain(family: RegressionFamily, over: RegressionFamily) -> Interval:
        return mean_interval(losses[over.name] - losses[family.name], bootstrap)

    undefeated = [
        family for family in families if all(gain(other, family).low <= 0 for other in families if other is not family)
    ]
    chosen = undefeated[0] if undefeated else min(families, key=lambda family: losses[family.name].mean())
    gains = {other.name: gain(chosen, other) for other in families if other is not chosen}
    reason = (
        f"Simplest family that no other significantly outperforms on {len(split.folds)} folds, by the Tweedie deviance."
    )
    over_mean = mean_interval(mean_loss - losses[chosen.name], bootstrap)
    return RegressionChoice(chosen, params[chosen.name], reason, split, tried, gains, over_mean)


def _fold_losses(
    family: RegressionFamily, params: dict[str, Any], data: TrainingSet, split: TimeSplit, seed: int
) -> Floats:
    parts = []
    for fold in split.folds:
        fit, validation = data.at_cutoffs(fold.fit), data.at_cutoffs([fold.validation])
        predicted = family.fit(params, fit, seed).predict(validation.x)
        parts.append(deviance(target_of(validation), predicted, float(target_of(fit).mean())))
    return np.concatenate(parts)


def _loss_of_mean(data: TrainingSet, fit: Sequence[Any], validation: Any) -> Floats:
    mean = float(target_of(data.at_cutoffs(fit)).mean())
    spend = target_of(data.at_cutoffs([validation]))
    return deviance(spend, np.full(len(spend), mean), mean)
