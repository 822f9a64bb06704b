"""Contract tests of the private names of scikit-learn: a failure means that a new release changed the name."""

import ast
from pathlib import Path

import numpy as np

import holdfast
from holdfast.models import _sklearn_private
from holdfast.models._sklearn_private import boosting_baseline, boosting_trees
from tests.support.additive_models import boosting, customers, fitted


def test_boosting_baseline_is_the_log_odds_of_the_training_share() -> None:
    x = customers(1500, seed=1)
    model = fitted(boosting())
    shares = [boosting_baseline(model), model.decision_function(x).mean()]
    assert all(isinstance(value, float) for value in shares)
    assert abs(shares[0] - shares[1]) < 1


def test_boosting_trees_have_one_array_of_nodes_per_iteration() -> None:
    model = fitted(boosting())
    trees = boosting_trees(model)
    assert len(trees) == model.n_iter_
    names = {"is_leaf", "value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right"}
    assert all(names | {"is_categorical"} <= set(nodes.dtype.names) for nodes in trees)
    assert all(np.isfinite(nodes["value"]).all() for nodes in trees)


def test_library_uses_private_names_of_scikit_learn_in_one_module_only() -> None:
    root = Path(holdfast.__file__).parent
    found = [
        f"{path.relative_to(root)}: {node.attr}"
        for path in root.rglob("*.py")
        if path != Path(_sklearn_private.__file__)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("_predictors", "_baseline_prediction")
    ]
    assert found == []
