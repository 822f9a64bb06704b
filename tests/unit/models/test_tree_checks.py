"""Attacks by trees that make scikit-learn's compiled code read foreign memory or never end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import make_pipeline

from holdfast.models._sklearn_private import node_dtype, tree_predictors
from holdfast.models.tree_checks import UnsafeTreesError, require_safe_trees

_X = np.random.default_rng(0).normal(size=(300, 3))
_X[:, 2] = np.random.default_rng(1).integers(0, 5, 300)
_MODEL = HistGradientBoostingClassifier(max_iter=4, categorical_features=[2]).fit(_X, _X[:, 0] + (_X[:, 2] > 2) > 0.5)


def _copy(change: Callable[[np.ndarray], None] | None = None) -> Any:
    """Copy the model with a changed last tree."""
    model = HistGradientBoostingClassifier()
    vars(model).update(vars(_MODEL))
    tree = tree_predictors(_MODEL)[-1]
    nodes = tree.nodes.copy()
    if change:
        change(nodes)
    changed = TreePredictor(nodes, tree.binned_left_cat_bitsets, tree.raw_left_cat_bitsets)
    model._predictors = [*_MODEL._predictors[:-1], [changed]]
    return model


def _set(field: str, value: int) -> Callable[[np.ndarray], None]:
    def change(nodes: np.ndarray) -> None:
        nodes[field][np.flatnonzero(nodes["is_leaf"] == 0)[-1]] = value

    return change


@pytest.mark.parametrize("wrap", [lambda model: model, make_pipeline, lambda model: [{"a": (model,)}]])
def test_require_safe_trees_accepts_a_fitted_model(wrap: Callable[[Any], Any]) -> None:
    require_safe_trees(wrap(_MODEL))
    require_safe_trees(wrap(_copy()))
    require_safe_trees(wrap(HistGradientBoostingClassifier()))


@pytest.mark.parametrize("wrap", [lambda model: model, make_pipeline, lambda model: [{"a": (model,)}]])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_set("left", 4_000_000_000), "left child that does not exist"),
        (_set("right", 1_000), "right child that does not exist"),
        (_set("left", 0), "left child at or above its parent"),
        (_set("right", 0), "right child at or above its parent"),
        (_set("feature_idx", 3), "input that does not exist"),
        (_set("feature_idx", -1), "input that does not exist"),
        (lambda nodes: nodes["is_leaf"].fill(0), "child"),
    ],
)
def test_require_safe_trees_refuses(
    change: Callable[[np.ndarray], None], problem: str, wrap: Callable[[Any], Any]
) -> None:
    with pytest.raises(UnsafeTreesError, match=problem):
        require_safe_trees(wrap(_copy(change)))


def test_require_safe_trees_categories_outside_of_their_table_are_refused() -> None:
    def change(nodes: np.ndarray) -> None:
        split = np.flatnonzero(nodes["is_leaf"] == 0)[0]
        nodes["is_categorical"][split], nodes["bitset_idx"][split] = 1, 1_000_000

    with pytest.raises(UnsafeTreesError, match="table of categories"):
        require_safe_trees(_copy(change))


@pytest.mark.parametrize("nodes", [np.zeros(3), np.empty(0, dtype=node_dtype()), np.zeros((2, 2), dtype=node_dtype())])
def test_require_safe_trees_other_arrays_are_refused(nodes: np.ndarray) -> None:
    model = _copy()
    model._predictors[-1][0].nodes = nodes
    with pytest.raises(UnsafeTreesError, match=r"has (nodes of another type|0 nodes)"):
        require_safe_trees(model)


@given(st.data())
def test_accepted_trees_end_within_their_arrays(data: st.DataObject) -> None:
    """Walk a changed tree in Python as scikit-learn does: no index leaves its array, and each path ends."""
    field = data.draw(st.sampled_from(["left", "right", "feature_idx", "is_leaf"]))
    value = data.draw(st.integers(0, 40))

    def change(nodes: np.ndarray) -> None:
        nodes[field][data.draw(st.integers(0, len(nodes) - 1))] = value % 2 if field == "is_leaf" else value

    model = _copy(change)
    try:
        require_safe_trees(model)
    except UnsafeTreesError:
        return
    nodes = tree_predictors(model)[-1].nodes
    waiting, steps = [0], 0
    while waiting:
        node, steps = nodes[waiting.pop()], steps + 1
        assert steps < 1_000_000
        if not node["is_leaf"]:
            assert 0 <= node["feature_idx"] < 3
            waiting += [int(node["left"]), int(node["right"])]
