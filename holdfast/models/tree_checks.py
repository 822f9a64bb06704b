"""Checks of the trees in a model file, before scikit-learn's compiled code walks them without any check.

An index outside of its array reads foreign memory or ends the process, and a cycle never ends.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from holdfast.core.errors import HoldfastError
from holdfast.models._sklearn_private import node_dtype, tree_predictors

_MAX_TREES = 20_000
_MAX_NODES = 100_000  # of one tree
_MAX_OBJECTS = 1_000_000


class UnsafeTreesError(HoldfastError):
    """Trees that no training gives."""


def require_safe_trees(estimator: Any) -> None:
    """Check every tree of fitted boosting in an estimator, at any depth.

    Args:
        estimator: Any estimator.

    Raises:
        UnsafeTreesError: A tree has an index outside of its arrays, a cycle, another type of nodes, or is too large.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    for item in _walk(estimator):
        if isinstance(item, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
            trees = tree_predictors(item)
            if len(trees) > _MAX_TREES:
                raise UnsafeTreesError(f"The model has {len(trees)} trees; at most {_MAX_TREES} are loaded.")
            for number, tree in enumerate(trees):
                if problem := _find_problem(tree, int(item.n_features_in_)):
                    raise UnsafeTreesError(f"Tree {number} of the model {problem}.")


def _find_problem(tree: Any, features: int) -> str:
    nodes = tree.nodes
    if not isinstance(nodes, np.ndarray) or nodes.dtype != node_dtype() or nodes.ndim != 1:
        return "has nodes of another type"
    count = len(nodes)
    if not 1 <= count <= _MAX_NODES:
        return f"has {count} nodes"
    splits = nodes["is_leaf"] == 0
    numbers = np.arange(count)[splits]
    for side in ("left", "right"):
        children = nodes[side][splits].astype(np.int64)
        if (children >= count).any():
            return f"has a {side} child that does not exist"
        if (children <= numbers).any():  # scikit-learn numbers the nodes from the root
            return f"has a {side} child at or above its parent"
    columns = nodes["feature_idx"][splits]
    if (columns < 0).any() or (columns >= features).any():
        return "splits on an input that does not exist"
    categorical = nodes[splits & (nodes["is_categorical"] != 0)]
    for bitsets in (tree.binned_left_cat_bitsets, tree.raw_left_cat_bitsets):
        is_table = isinstance(bitsets, np.ndarray) and bitsets.dtype == np.uint32 and bitsets.shape[1:] == (8,)
        if not is_table or (categorical["bitset_idx"] >= len(bitsets)).any():
            return "has a table of categories of another size"
    return ""


def _walk(root: Any) -> Iterator[Any]:
    """Yield every object that is reachable through attributes, dicts and sequences, each once."""
    waiting, found = [root], set[int]()
    while waiting:
        item = waiting.pop()
        if id(item) in found or isinstance(item, str | bytes | int | float | type(None)):
            continue
        found.add(id(item))
        if len(found) > _MAX_OBJECTS:
            raise UnsafeTreesError(f"The model consists of more than {_MAX_OBJECTS} objects.")
        yield item
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple | set):
            waiting.extend(item)
        elif isinstance(item, np.ndarray):
            waiting.extend(item.ravel().tolist() if item.dtype == object else ())
        elif hasattr(item, "__dict__") and not isinstance(item, type):
            waiting.extend(vars(item).values())
