"""Additive models as arrays: the log-odds of a row are a base plus one term per input.

The terms of a row, and their sum by :func:`sum_terms`, have the same bits in every batch: the sum runs from the first
input to the last. Matrix products and ``sum`` have no fixed order.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.types import Floats
from holdfast.models._sklearn_private import boosting_baseline, boosting_trees


class AdditiveTerms(ABC):
    """Terms of an additive model.

    Attributes:
        base: Constant to which the terms are added.
    """

    base: float

    @abstractmethod
    def compute(self, x: Floats) -> Floats:
        """Compute the term of each input.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Terms, of the same shape; not finite for values that the model cannot score.
        """

    def log_odds(self, x: Floats) -> Floats:
        """Compute log-odds of churn before calibration.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Log-odds, shape (rows,); not finite for values that the model cannot score.
        """
        return self.base + sum_terms(self.compute(x))

    def contributions(self, x: Floats, reference: Floats) -> tuple[float, Floats, Floats]:
        """Compute the contribution of each input to the log-odds of each row.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.
            reference: Reference value per input, shape (inputs,).

        Returns:
            Log-odds of the reference, log-odds of each row, and contributions of shape (rows, inputs).
        """
        terms = self.compute(np.vstack([reference, x]))
        log_odds = self.base + sum_terms(terms)
        with np.errstate(invalid="ignore"):  # infinity less infinity is rejected by the scorer
            return float(log_odds[0]), log_odds[1:], terms[1:] - terms[0]


def arcsinh_inputs(x: Floats, log_odds: Sequence[int] = ()) -> Floats:
    """Compute the inverse hyperbolic sine of the inputs: like a logarithm, but defined for zero and negative amounts.

    Args:
        x: Inputs, shape (rows, inputs); NaN is missing.
        log_odds: Columns that are in log-odds already and stay as they are.

    Returns:
        Transformed inputs, of the same shape.
    """
    transformed: Floats = np.arcsinh(x)
    transformed[:, log_odds] = x[:, log_odds]
    return transformed


@dataclass(frozen=True)
class LinearTerms(AdditiveTerms):
    """Logistic regression on standardized inputs; arrays have shape (inputs,).

    Attributes:
        base: Constant to which the terms are added.
        untransformed: Columns that are in log-odds already, which :func:`arcsinh_inputs` does not transform.
        mean: Means of the transformed inputs.
        scale: Standard deviations of the transformed inputs.
        coefficients: Coefficients of the standardized inputs.
        known: Part of the term of a known input that comes from its missing-value indicator.
        missing: Whole term of a missing input.
    """

    base: float
    untransformed: tuple[int, ...]
    mean: Floats
    scale: Floats
    coefficients: Floats
    known: Floats
    missing: Floats

    @property
    def inputs(self) -> int:
        """Return the number of inputs."""
        return len(self.mean)

    def compute(self, x: Floats) -> Floats:
        """Compute the term of each input.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Terms, of the same shape; not finite for an infinite value, which scikit-learn rejects.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            terms = arcsinh_inputs(x, self.untransformed)
            terms -= self.mean
            terms /= self.scale
            terms *= self.coefficients
            terms += self.known
            np.copyto(terms, self.missing, where=np.isnan(x))
            return terms

    def probe_rows(self) -> Floats:
        """Create rows with values around those of the training set, and missing values, in each input.

        Returns:
            Rows, shape (6, inputs).
        """
        z = np.array([-2.0, -0.5, 0.0, 1.0, 2.0, np.nan])
        deviations = z[(np.arange(len(z))[:, None] + np.arange(self.inputs)) % len(z)]
        transformed = np.clip(self.mean + self.scale * deviations, -700, 700)
        rows = np.sinh(transformed)
        rows[:, self.untransformed] = transformed[:, self.untransformed]
        return rows


@dataclass(frozen=True)
class StepTerms(AdditiveTerms):
    """Boosted trees of one input each: their sum is one step function per input.

    One binary search finds the steps of all inputs: NumPy sorts complex numbers by the real part, then by the imaginary
    part, and those with NaN last. A row of 5 inputs takes 1.8 µs, and 13 µs with one search per input; 5,000 rows take
    3.7 ms and 1.8 ms.

    Attributes:
        base: Constant to which the terms are added.
        inputs: Number of inputs.
        edges: Upper edges of the steps as complex numbers of input number and edge, sorted, shape (steps,). An edge
            belongs to the step below. The last edge of an input is infinite; missing inputs have the edge NaN.
        values: Term of each step, shape (steps,).
    """

    base: float
    inputs: int
    edges: npt.NDArray[np.complex128]
    values: Floats

    def compute(self, x: Floats) -> Floats:
        """Compute the term of each input.

        Args:
            x: Inputs, shape (rows, inputs); NaN is missing.

        Returns:
            Terms, of the same shape, always finite.
        """
        terms: Floats = self.values[self.edges.searchsorted(_number_inputs(np.arange(self.inputs), x))]
        return terms

    def probe_rows(self) -> Floats:
        """Create rows with both ends of every step of every input, and missing values.

        Returns:
            Rows, shape (any, inputs).
        """
        by_input = [self.edges.imag[self.edges.real == number] for number in range(self.inputs)]
        columns = [np.concatenate([edges, np.nextafter(edges, np.inf)]) for edges in by_input]
        longest = max(map(len, columns))
        return np.stack([np.resize(column, longest) for column in columns], axis=1)


def sum_terms(terms: Floats) -> Floats:
    """Sum the terms of each row from the first input to the last.

    Args:
        terms: Terms, shape (rows, inputs).

    Returns:
        Sums, shape (rows,); not finite where a term is not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return np.add.accumulate(terms, axis=1)[:, -1]


def extract_linear_terms(pipeline: Any) -> LinearTerms | None:
    """Extract the terms of a fitted pipeline of the logistic family.

    Args:
        pipeline: Any fitted estimator.

    Returns:
        The terms; None for any other estimator.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    family = [FunctionTransformer, SimpleImputer, StandardScaler, LogisticRegression]
    if type(pipeline) is not Pipeline or [type(step) for _, step in pipeline.steps] != family:
        return None
    function, imputer, scaler, model = (step for _, step in pipeline.steps)
    options = function.kw_args or {}
    if function.func is not arcsinh_inputs or options.keys() - {"log_odds"} or function.validate:
        return None
    if imputer.strategy != "median" or not _is_nan(imputer.missing_values) or np.isnan(imputer.statistics_).any():
        return None
    medians = imputer.statistics_.astype(np.float64)
    inputs = len(medians)
    flagged = imputer.indicator_.features_ if imputer.add_indicator else np.empty(0, dtype=np.intp)
    shape = (inputs + len(flagged),)
    if not (scaler.with_mean and scaler.with_std) or scaler.mean_.shape != shape or model.coef_.shape != (1, *shape):
        return None
    mean, scale, coefficients = (
        np.array(part, dtype=np.float64) for part in (scaler.mean_, scaler.scale_, model.coef_[0])
    )
    known, missing = np.zeros(inputs), (medians - mean[:inputs]) / scale[:inputs] * coefficients[:inputs]
    known[flagged] = (0 - mean[inputs:]) / scale[inputs:] * coefficients[inputs:]
    missing[flagged] += (1 - mean[inputs:]) / scale[inputs:] * coefficients[inputs:]
    base = float(np.ravel(model.intercept_).item())
    untransformed = tuple(options.get("log_odds", ()))
    return LinearTerms(base, untransformed, mean[:inputs], scale[:inputs], coefficients[:inputs], known, missing)


def extract_step_terms(classifier: Any) -> StepTerms | None:
    """Extract the terms of fitted boosting in which every tree uses one input.

    Args:
        classifier: Any fitted estimator; boosting may be the only step of a pipeline.

    Returns:
        The terms; None for any other estimator.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    model = classifier.steps[0][1] if type(classifier) is Pipeline and len(classifier.steps) == 1 else classifier
    if type(model) is not HistGradientBoostingClassifier or model.loss != "log_loss":
        return None
    if model.is_categorical_ is not None or model.n_trees_per_iteration_ != 1:
        return None
    base = [boosting_baseline(model)]
    trees: list[list[Any]] = [[] for _ in range(model.n_features_in_)]
    for nodes in boosting_trees(model):
        splits = nodes[nodes["is_leaf"] == 0]
        used = np.unique(splits["feature_idx"])
        if len(used) > 1 or splits["is_categorical"].any():
            return None
        if len(used):
            trees[used[0]].append(nodes)
        else:
            base.append(nodes["value"].item())
    edges = [_number_inputs(number, _step_edges(of_input)) for number, of_input in enumerate(trees)]
    edges += [_number_inputs(number, np.array([np.nan])) for number in range(len(trees))]
    values = [_sum_trees(trees[int(of_input.real[0])], of_input.imag) for of_input in edges]
    return StepTerms(math.fsum(base), len(trees), np.concatenate(edges), np.concatenate(values))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _number_inputs(numbers: Any, values: Floats) -> npt.NDArray[np.complex128]:
    """Return complex numbers of input number and value; ``number + value * 1j`` makes NaN of infinity."""
    numbered = np.empty(values.shape, dtype=np.complex128)
    numbered.real, numbered.imag = numbers, values
    return numbered


def _step_edges(trees: Sequence[Any]) -> Floats:
    """Return the edges of the sum of trees of one input; the last step ends at infinity."""
    splits = [nodes["num_threshold"][nodes["is_leaf"] == 0] for nodes in trees]
    return np.unique(np.concatenate([*splits, [np.inf]]))


def _sum_trees(trees: Sequence[Any], values: Floats) -> Floats:
    """Sum the outputs of trees of one input for values, shape (values,), with one rounding per sum."""
    outputs = [_tree_outputs(nodes, values) for nodes in trees]
    return np.array([math.fsum(of_value) for of_value in zip(*outputs, strict=True)] or [0.0] * len(values))


def _tree_outputs(nodes: Any, values: Floats) -> Floats:
    current, missing = np.zeros(len(values), dtype=np.intp), np.isnan(values)
    while not (at_leaf := nodes["is_leaf"][current] == 1).all():
        left = np.where(missing, nodes["missing_go_to_left"][current] == 1, values <= nodes["num_threshold"][current])
        current = np.where(at_leaf, current, np.where(left, nodes["left"][current], nodes["right"][current]))
    outputs: Floats = nodes["value"][current]
    return outputs
