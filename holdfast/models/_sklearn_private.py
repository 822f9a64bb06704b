"""Private names of scikit-learn: no other module of the library uses one.

tests/unit/models/test_sklearn_private.py has a contract test per name, which fails if a new release changes the name.
"""

from typing import Any


def boosting_baseline(model: Any) -> float:
    """Return the log-odds to which the trees of fitted boosting add.

    Args:
        model: Fitted ``HistGradientBoostingClassifier`` of two classes.

    Returns:
        The baseline log-odds.
    """
    return float(model._baseline_prediction.item())


def boosting_trees(model: Any) -> list[Any]:
    """Return the trees of fitted boosting.

    Args:
        model: Fitted ``HistGradientBoostingClassifier`` of two classes.

    Returns:
        Structured array of nodes per tree, with ``is_leaf``, ``value``, ``feature_idx``, ``num_threshold``,
        ``missing_go_to_left``, ``left``, ``right`` and ``is_categorical``.
    """
    return [predictor.nodes for (predictor,) in model._predictors]


def tree_predictors(model: Any) -> list[Any]:
    """Return the predictors of fitted boosting, also of a model that training never gives.

    Args:
        model: ``HistGradientBoostingClassifier``.

    Returns:
        Objects with ``nodes``, ``binned_left_cat_bitsets`` and ``raw_left_cat_bitsets``; none before the fit.
    """
    return [predictor for iteration in getattr(model, "_predictors", []) for predictor in iteration]


def node_dtype() -> Any:
    """Return the type of the nodes of a tree.

    Returns:
        Structured type of NumPy.
    """
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    return PREDICTOR_RECORD_DTYPE
