"""Baseline models that every candidate is compared with: base rate, recency, RFM, BG/NBD and Pareto/NBD."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from holdfast.core.types import Floats
from holdfast.models.purchase_models import PURCHASE_INPUTS, BgNbdModel, ParetoNbdModel, PurchaseModel
from holdfast.training.dataset import PurchaseHistory, TrainingSet
from holdfast.training.purchase_fitting import fit_purchase_model

# Labels in reports.
BASELINE_LABELS = {
    "base_rate": "base rate",
    "recency": "recency alone",
    "rfm": "RFM logistic",
    "bg_nbd": "BG/NBD",
    "pareto_nbd": "Pareto/NBD",
}
_RFM = ("days_since_last_purchase", "purchase_days", "mean_purchase_amount")

_PURCHASE_MODELS = ("bg_nbd", "pareto_nbd")

# The features of each baseline are its own: an input that the model does without is no input that RFM does without.
_FEATURES = {
    "base_rate": (),
    "recency": _RFM[:1],
    "rfm": _RFM,
    "bg_nbd": PURCHASE_INPUTS,
    "pareto_nbd": PURCHASE_INPUTS,
}


def explain_skipped_baselines(data: TrainingSet) -> dict[str, str]:
    """Explain which baselines a training set does not allow.

    Args:
        data: Training set.

    Returns:
        Baseline to the reason; empty unless the definitions lack a feature altogether, or the label has subscriptions.
    """
    missing = {name: [item for item in names if item not in data.feature_names] for name, names in _FEATURES.items()}
    others = _PURCHASE_MODELS if data.terms.has_subscriptions else ()
    return {name: f"{BASELINE_LABELS[name]} predicts purchases, not renewals" for name in others} | {
        name: f"{BASELINE_LABELS[name]} needs {', '.join(items)}, which the feature definitions do not have"
        for name, items in missing.items()
        if items and name not in others
    }


def score_baselines(
    train: TrainingSet, history: PurchaseHistory, test: TrainingSet, horizon_days: int
) -> dict[str, Floats]:
    """Compute the churn probabilities of the test rows by each baseline that the features allow.

    Args:
        train: Rows on which the baselines are fitted, except the purchase models.
        history: Purchase history of all customers, on which the purchase models are fitted.
        test: Rows to score.
        horizon_days: Horizon of the label in days.

    Returns:
        Baseline to scores, shape (test rows,).
    """
    models: dict[str, Callable[[], Floats]] = {
        "base_rate": lambda: np.full(len(test.y), train.y.mean()),
        "recency": lambda: _logistic(train, test, _FEATURES["recency"]),
        "rfm": lambda: _logistic(train, test, _FEATURES["rfm"]),
        "bg_nbd": lambda: _purchase_model(BgNbdModel, history, test, horizon_days),
        "pareto_nbd": lambda: _purchase_model(ParetoNbdModel, history, test, horizon_days),
    }
    skipped = explain_skipped_baselines(test)
    return {name: score() for name, score in models.items() if name not in skipped}


def _logistic(train: TrainingSet, test: TrainingSet, names: Sequence[str]) -> Floats:
    model = make_pipeline(FunctionTransformer(np.arcsinh), StandardScaler(), LogisticRegression())
    model.fit(_columns(train, names), train.y)
    return model.predict_proba(_columns(test, names))[:, 1]


def _purchase_model(
    model: type[PurchaseModel], history: PurchaseHistory, test: TrainingSet, horizon_days: int
) -> Floats:
    fitted = fit_purchase_model(model, history, PURCHASE_INPUTS, horizon_days)
    return fitted.predict_proba(_columns(test, PURCHASE_INPUTS))[:, 1]


def _columns(data: TrainingSet, names: Sequence[str]) -> Floats:
    return np.column_stack([data.column(name) for name in names])
