"""Extraction of the terms of fitted models, with or without categorical inputs.

Supported are logistic and Tweedie regression, and boosting of a class or a mean.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from holdfast.core.types import Floats
from holdfast.models._sklearn_private import boosting_baseline, boosting_trees
from holdfast.models.additive_terms import LinearTerms, StepTerms, arcsinh_inputs, number_inputs
from holdfast.models.categories import locate_categories
from holdfast.models.category_columns import indicate_categories, rank_categories


def extract_linear_terms(pipeline: Any, family: Literal["logistic", "tweedie"]) -> LinearTerms | None:
    """Extract the terms of a fitted pipeline of a linear family.

    Args:
        pipeline: Any fitted estimator.
        family: Family; a Tweedie regression has a log link.

    Returns:
        The terms; None for any other estimator.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, TweedieRegressor
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    steps, encoding = _split_encoder(pipeline, indicate_categories)
    last = LogisticRegression if family == "logistic" else TweedieRegressor
    if [type(step) for step in steps] != [FunctionTransformer, SimpleImputer, StandardScaler, last]:
        return None
    function, imputer, scaler, model = steps
    if family == "tweedie" and model.link != "log":
        return None
    coefficient_rows = np.atleast_2d(model.coef_)
    options = function.kw_args or {}
    if function.func is not arcsinh_inputs or options.keys() - {"log_odds"} or function.validate:
        return None
    if imputer.strategy != "median" or not _is_nan(imputer.missing_values) or np.isnan(imputer.statistics_).any():
        return None
    medians = imputer.statistics_.astype(np.float64)
    width = len(medians)
    flagged = imputer.indicator_.features_ if imputer.add_indicator else np.empty(0, dtype=np.intp)
    shape = (width + len(flagged),)
    if (
        not (scaler.with_mean and scaler.with_std)
        or scaler.mean_.shape != shape
        or coefficient_rows.shape != (1, *shape)
    ):
        return None
    mean, scale, coefficients = (
        np.array(part, dtype=np.float64) for part in (scaler.mean_, scaler.scale_, coefficient_rows[0])
    )
    known, missing = np.zeros(width), (medians - mean[:width]) / scale[:width] * coefficients[:width]
    known[flagged] = (0 - mean[width:]) / scale[width:] * coefficients[width:]
    missing[flagged] += (1 - mean[width:]) / scale[width:] * coefficients[width:]
    categories, inputs = _indicator_terms(encoding, mean[:width], scale[:width], coefficients[:width])
    return LinearTerms(
        base=float(np.ravel(model.intercept_).item()),
        untransformed=tuple(column for column in options.get("log_odds", ()) if column < inputs),
        mean=mean[:inputs],
        scale=scale[:inputs],
        coefficients=coefficients[:inputs],
        known=known[:inputs],
        missing=missing[:inputs],
        categorical=tuple(encoding.columns),
        categories=categories,
    )


def extract_step_terms(classifier: Any, loss: Literal["log_loss", "poisson"]) -> StepTerms | None:
    """Extract the terms of fitted boosting in which every tree uses one input.

    Args:
        classifier: Any fitted estimator; boosting may be the only step of a pipeline, or follow the ranks of
            categories.
        loss: Loss of the boosting: that of a classifier, or of a regression with a log link.

    Returns:
        The terms; None for any other estimator.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    steps, encoding = _split_encoder(classifier, rank_categories)
    boosting = HistGradientBoostingClassifier if loss == "log_loss" else HistGradientBoostingRegressor
    if [type(step) for step in steps] != [boosting] or steps[0].loss != loss:
        return None
    model = steps[0]
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
    tables = dict(zip(encoding.columns, zip(encoding.codes, encoding.ranks, strict=True), strict=True))
    edges, values = [], []
    for number, of_input in enumerate(trees):
        if number in tables:
            codes, ranks = tables[number]
            edges.append(_category_edges(codes))
            at = np.append(ranks, np.nan)[locate_categories(np.append(edges[-1], np.nan), codes)]
        else:
            edges.append(_step_edges(of_input))
            at = np.append(edges[-1], np.nan)
        values.append(_sum_trees(of_input, at))
    return _step_terms(math.fsum(base), edges, values)


class _Encoding(NamedTuple):
    """Options of the first step of a pipeline with categorical inputs; empty without any."""

    columns: Sequence[int] = ()
    codes: Sequence[Floats] = ()
    ranks: Sequence[Floats] = ()


def _split_encoder(estimator: Any, function: Callable[..., Floats]) -> tuple[list[Any], _Encoding]:
    """Split a fitted estimator into its steps and the options of a first step that encodes categories."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    steps = [step for _, step in estimator.steps] if type(estimator) is Pipeline else [estimator]
    first = steps[0]
    if type(first) is not FunctionTransformer or first.func is not function or first.validate:
        return steps, _Encoding()
    return steps[1:], _Encoding(**first.kw_args)


def _indicator_terms(
    encoding: _Encoding, mean: Floats, scale: Floats, coefficients: Floats
) -> tuple[StepTerms | None, int]:
    """Compute the terms of categories from those of their indicators, and the number of inputs."""
    position = inputs = len(mean) - sum(len(known) + 1 for known in encoding.codes)
    if not encoding.columns:
        return None, inputs
    absent, present = (0 - mean) / scale * coefficients, (1 - mean) / scale * coefficients
    edges, values = [], []
    for column, known in zip(encoding.columns, encoding.codes, strict=True):
        # in the order of indicate_categories: the categories, others, missing
        of_input = [*range(position, position + len(known)), column, position + len(known)]
        position += len(known) + 1
        terms = np.array(
            [math.fsum([*np.delete(absent[of_input], i), present[of_input[i]]]) for i in range(len(of_input))]
        )
        edges.append(_category_edges(known))
        values.append(terms[locate_categories(np.append(edges[-1], np.nan), known)])
    return _step_terms(0.0, edges, values), inputs


def _step_terms(base: float, edges: Sequence[Floats], values: Sequence[Floats]) -> StepTerms:
    """Build step functions from the edges of each input, and its values at the edges and where it is missing."""
    missing = np.full(len(edges), np.nan)
    numbered = [number_inputs(number, of_input) for number, of_input in enumerate(edges)]
    return StepTerms(
        base,
        len(edges),
        np.concatenate([*numbered, number_inputs(np.arange(len(edges)), missing)]),
        np.concatenate([*(of_input[:-1] for of_input in values), np.array([of_input[-1] for of_input in values])]),
    )


def _category_edges(codes: Floats) -> Floats:
    """Return the edges of steps that hold one category each; the steps between them hold other categories."""
    return np.append(np.stack([np.nextafter(codes, -np.inf), codes], axis=1).reshape(-1), np.inf)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


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
