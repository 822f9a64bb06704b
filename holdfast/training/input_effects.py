"""Effect of the inputs of each feature view on the test: the same recipe, fitted without them.

Permutation shows what a fitted model uses; a refit shows what the other inputs cannot replace.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.training.bootstrap import bootstrap_rows, mean_draws, percentile_interval
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.metrics import roc_auc_difference
from holdfast.training.model_families import find_family
from holdfast.training.recipe import BASE_RATE, Recipe


class NoInputsError(HoldfastError):
    """A model family that reads no features."""


@dataclass(frozen=True)
class InputEffect:
    """Effect of the inputs of a feature view, measured on the test rows.

    Attributes:
        roc_auc: ROC-AUC with the inputs minus that without them.
        brier: Brier score without the inputs minus that with them.
    """

    view: str
    inputs: tuple[str, ...]
    roc_auc: Interval
    brier: Interval

    @property
    def is_sure(self) -> bool:
        """Return True if the model is surely worse without the inputs, by a proper score: they belong to its inputs."""
        return self.brier.low > 0


def compute_input_effects(
    recipe: Recipe,
    data: TrainingSet,
    resamples: int = 1000,
    report: Callable[[str], object] = lambda text: None,
) -> list[InputEffect]:
    """Fit the recipe without the inputs of each view, and compare with the complete model on the same test rows.

    Args:
        recipe: Recipe of the tested model.
        data: Rows of the development and test cut-offs.
        resamples: Resamples of customers and months behind the 95% intervals.
        report: Called with a description of each step.

    Returns:
        Effect per view, the largest first.

    Raises:
        NoInputsError: The model reads no features, or those of one view only.
    """
    views = {feature.view: None for feature in data.inputs}
    if recipe.family == BASE_RATE or find_family(recipe.family).uses_history or len(views) < 2:
        raise NoInputsError(f"The model ({recipe.family}) has no inputs of several feature views to compare.")
    complete, churned = _test_scores(recipe, data), data.at_cutoffs(recipe.test).y
    bootstrap = bootstrap_rows(data.at_cutoffs(recipe.test).keys, resamples, recipe.seed)
    effects = []
    for view in views:
        report(f"fitting without {view}")
        other = _test_scores(recipe, _without(data, view))
        lost = (churned - other) ** 2 - (churned - complete) ** 2
        effects.append(
            InputEffect(
                view,
                tuple(feature.name for feature in data.inputs if feature.view == view),
                roc_auc_difference(churned, complete, other, bootstrap),
                percentile_interval(float(lost.mean()), mean_draws(lost, bootstrap)),
            )
        )
    return sorted(effects, key=lambda effect: -effect.brier.value)


def _test_scores(recipe: Recipe, data: TrainingSet) -> Floats:
    return predict_churn(fit_recipe(recipe, data), data.at_cutoffs(recipe.test).x)


def _without(data: TrainingSet, view: str) -> TrainingSet:
    remaining = [number for number, feature in enumerate(data.inputs) if feature.view != view]
    return replace(data, x=data.x[:, remaining], inputs=[data.inputs[number] for number in remaining])
