"""Evaluation of a regression on the test period, beside the baselines."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import CustomerBootstrap, bootstrap_rows
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation import slice_masks
from holdfast.training.regression.families import target_of
from holdfast.training.regression.report import RegressionEvaluation, SpendGroup
from holdfast.training.regression.scores import deviance, mean_interval, measure_spend, total_interval
from holdfast.training.regression.selection import RegressionChoice
from holdfast.training.settings import TrainingSettings


def evaluate_regression(
    predictions: Mapping[str, Floats],
    development: TrainingSet,
    test: TrainingSet,
    choice: RegressionChoice,
    training: TrainingSettings,
    notes: Sequence[str] = (),
) -> RegressionEvaluation:
    """Evaluate the predictions of the test rows.

    Args:
        predictions: "model" and each baseline to predictions, shape (test rows,).
        development: Rows on which the model was fitted.
        test: Test rows.
        choice: Family, hyperparameters and results on the folds.
        training: Slices, resamples and seed.
        notes: Sentences on gaps in the data.

    Returns:
        The report.
    """
    spend, mean = target_of(test), float(target_of(development).mean())
    bootstrap = bootstrap_rows(test.keys, training.resamples, training.seed)
    losses = {name: deviance(spend, values, mean) for name, values in predictions.items()}
    months = [
        _measure_group(f"{cutoff:%Y-%m-%d}", mask, test, predictions["model"], bootstrap.one_month(mask))
        for cutoff in sorted(test.keys["cutoff"].unique())
        if (mask := (test.keys["cutoff"] == cutoff).to_numpy()).any()
    ]
    return RegressionEvaluation(
        chosen=choice.name,
        reason=choice.reason,
        rows=len(spend),
        cutoffs=list(choice.split.test),
        known_mean=mean,
        metrics={name: measure_spend(spend, values, mean, bootstrap) for name, values in predictions.items()},
        gains={
            name: mean_interval(losses[name] - losses["model"], bootstrap) for name in predictions if name != "model"
        },
        months=months,
        slices=list(_measure_slices(test, predictions["model"], training, bootstrap)),
        deciles=[
            _measure_group(str(number), mask, test, predictions["model"], bootstrap.subset(mask))
            for number, mask in enumerate(decile_masks(predictions["model"]), start=1)
        ],
        fold_deviance=choice.fold_deviance,
        family_gains=choice.gains,
        over_mean=choice.over_mean,
        history_notes=list(notes),
    )


def decile_masks(predicted: Floats) -> Iterator[Bools]:
    """Split rows into tenths by prediction; equal predictions stay in their order.

    Args:
        predicted: Predictions, shape (rows,).

    Yields:
        Rows of each tenth that has any, lowest first, shape (rows,).
    """
    for rows in np.array_split(np.argsort(predicted, kind="stable"), 10):
        if len(rows):
            mask = np.zeros(len(predicted), dtype=bool)
            mask[rows] = True
            yield mask


def _measure_slices(
    test: TrainingSet, predicted: Floats, training: TrainingSettings, bootstrap: CustomerBootstrap
) -> Iterator[SpendGroup]:
    for item in training.slices:
        if item.feature in test.feature_names:
            for label, mask in slice_masks(item, test):
                yield _measure_group(f"{item.feature}: {label}", mask, test, predicted, bootstrap.subset(mask))


def _measure_group(
    name: str, mask: Bools, test: TrainingSet, predicted: Floats, bootstrap: CustomerBootstrap
) -> SpendGroup:
    spend, expected = target_of(test)[mask], predicted[mask]
    return SpendGroup(
        name=name,
        rows=int(mask.sum()),
        observed=float(spend.mean()),
        predicted=float(expected.mean()),
        total=total_interval(spend, expected, bootstrap),
        bias=mean_interval(expected - spend, bootstrap),
    )
