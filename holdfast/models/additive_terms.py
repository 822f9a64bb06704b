"""The two additive families as arrays: log-odds are a base plus one term per input.

A row's terms have the same bits whatever the batch it is in, and so has their sum as ``sum_terms`` makes it: from the
first input to the last, one after another. Matrix products and ``sum`` promise no order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from holdfast.core.types import Floats


class AdditiveTerms(Protocol):
    """What an additive model adds up."""

    @property
    def inputs(self) -> int:
        """How many inputs it reads."""

    @property
    def base(self) -> float:
        """What they are added to."""

    def compute(self, x: Floats) -> Floats:
        """The term of each input: matrix (rows, inputs), NaN is missing, to the same shape."""

    def probe_rows(self) -> Floats:
        """Rows, shape (any, inputs), that between them use every number kept here."""


@dataclass(frozen=True)
class LinearTerms:
    """Logistic regression on standardised inverse hyperbolic sines; arrays of shape (inputs,).

    ``known`` is what an input's not being missing adds, ``missing`` the whole term of one that is.
    """

    base: float
    mean: Floats
    scale: Floats
    coefficients: Floats
    known: Floats
    missing: Floats

    @property
    def inputs(self) -> int:
        """How many inputs it reads."""
        return len(self.mean)

    def compute(self, x: Floats) -> Floats:
        """Not finite for an infinite value, which scikit-learn refuses."""
        with np.errstate(invalid="ignore", over="ignore"):
            terms = np.arcsinh(x)
            terms -= self.mean
            terms /= self.scale
            terms *= self.coefficients
            terms += self.known
            np.copyto(terms, self.missing, where=np.isnan(x))
            return terms

    def probe_rows(self) -> Floats:
        """Values about as far apart as those it was fitted on, and missing ones, in each input."""
        z = np.array([-2.0, -0.5, 0.0, 1.0, 2.0, np.nan])
        deviations = z[(np.arange(len(z))[:, None] + np.arange(self.inputs)) % len(z)]
        return np.sinh(np.clip(self.mean + self.scale * deviations, -700, 700))


@dataclass(frozen=True)
class StepTerms:
    """Boosted trees of one input each: summed, they are one step function per input.

    ``steps``, shape (steps,), are the upper edges, which belong to the step below, as ``input number + edge * 1j``:
    so one binary search finds the steps of all inputs, because NumPy sorts complex numbers by the real part, then
    by the imaginary. Those with NaN come last, again by the real part: one per input, for missing.
    ``values`` are the terms, in the same order.
    """

    base: float
    inputs: int
    steps: npt.NDArray[np.complex128]
    values: Floats

    def compute(self, x: Floats) -> Floats:
        """Always finite: infinity is beyond the last edge or on it."""
        places = np.empty(x.shape, dtype=np.complex128)
        places.real = np.arange(self.inputs)
        places.imag = x
        terms: Floats = self.values[self.steps.searchsorted(places)]
        return terms

    def probe_rows(self) -> Floats:
        """Both ends of every step of every input, and missing."""
        columns = []
        for number in range(self.inputs):
            edges = self.steps.imag[self.steps.real == number]
            columns.append(np.concatenate([edges, np.nextafter(edges, np.inf)]))
        longest = max(map(len, columns))
        return np.stack([np.resize(column, longest) for column in columns], axis=1)


def sum_terms(terms: Floats) -> Floats:
    """The sum of each row, (rows, inputs) to (rows,); not finite where a term is not."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.add.accumulate(terms, axis=1)[:, -1]


def extract_linear_terms(pipeline: Any) -> LinearTerms | None:
    """Of the fitted pipeline of the logistic family; None if it is anything else."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    family = [FunctionTransformer, SimpleImputer, StandardScaler, LogisticRegression]
    if type(pipeline) is not Pipeline or [type(step) for _, step in pipeline.steps] != family:
        return None
    function, imputer, scaler, model = (step for _, step in pipeline.steps)
    if function.func is not np.arcsinh or function.kw_args or function.validate:
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
    return LinearTerms(base, mean[:inputs], scale[:inputs], coefficients[:inputs], known, missing)


def extract_step_terms(classifier: Any) -> StepTerms | None:
    """Of fitted boosting whose every tree uses one input, alone or as a pipeline's only step; None if anything else."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    model = classifier.steps[0][1] if type(classifier) is Pipeline and len(classifier.steps) == 1 else classifier
    if type(model) is not HistGradientBoostingClassifier or model.loss != "log_loss":
        return None
    if model.is_categorical_ is not None or model.n_trees_per_iteration_ != 1:
        return None
    base = [model._baseline_prediction.item()]
    trees: list[list[Any]] = [[] for _ in range(model.n_features_in_)]
    for (predictor,) in model._predictors:
        splits = predictor.nodes[predictor.nodes["is_leaf"] == 0]
        used = np.unique(splits["feature_idx"])
        if len(used) > 1 or splits["is_categorical"].any():
            return None
        if len(used):
            trees[used[0]].append(predictor.nodes)
        else:
            base.append(predictor.nodes["value"].item())
    edges = [_edges(of_input) for of_input in trees]
    missing = [np.array([np.nan])] * len(trees)
    places = [_complex(number, values) for values_of in (edges, missing) for number, values in enumerate(values_of)]
    terms = [_summed(trees[int(place.real[0])], place.imag) for place in places]
    return StepTerms(math.fsum(base), len(trees), np.concatenate(places), np.concatenate(terms))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _edges(trees: Sequence[Any]) -> Floats:
    """Where the sum of trees of one input steps; the last step ends at infinity, whose split sets the missing apart."""
    splits = [nodes["num_threshold"][nodes["is_leaf"] == 0] for nodes in trees]
    return np.unique(np.concatenate([*splits, [np.inf]]))


def _complex(number: int, values: Floats) -> npt.NDArray[np.complex128]:
    places = np.empty(len(values), dtype=np.complex128)
    places.real, places.imag = number, values  # number + values * 1j would make NaN of infinity
    return places


def _summed(trees: Sequence[Any], values: Floats) -> Floats:
    """What trees of one input say together of ``values``, each sum rounded once; both of shape (values,)."""
    said = [_leaves(nodes, values) for nodes in trees]
    return np.array([math.fsum(of_value) for of_value in zip(*said, strict=True)] or [0.0] * len(values))


def _leaves(nodes: Any, values: Floats) -> Floats:
    at, missing = np.zeros(len(values), dtype=np.intp), np.isnan(values)
    while not (arrived := nodes["is_leaf"][at] == 1).all():
        left = np.where(missing, nodes["missing_go_to_left"][at] == 1, values <= nodes["num_threshold"][at])
        at = np.where(arrived, at, np.where(left, nodes["left"][at], nodes["right"][at]))
    found: Floats = nodes["value"][at]
    return found
