"""Baseline models that every candidate is compared with: base rate, recency, RFM, BG/NBD and Pareto/NBD."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from holdfast.core.types import Floats
from holdfast.models.purchase_models import BgNbdModel, ParetoNbdModel, PurchaseModel
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
_RFM = ["days_since_last_purchase", "purchase_days", "mean_purchase_amount"]


def score_baselines(
    train: TrainingSet, history: PurchaseHistory, test: TrainingSet, horizon_days: int
) -> dict[str, Floats]:
    """Compute the churn probabilities of the test rows by each baseline.

    Args:
        train: Rows on which the baselines are fitted, except the purchase models.
        history: Purchase history of all customers, on which the purchase models are fitted.
        test: Rows to score.
        horizon_days: Horizon of the label in days.

    Returns:
        Baseline to scores, shape (test rows,).
    """
    return {
        "base_rate": np.full(len(test.y), train.y.mean()),
        "recency": _logistic(train, test, _RFM[:1]),
        "rfm": _logistic(train, test, _RFM),
        "bg_nbd": _purchase_model(BgNbdModel, history, test, horizon_days),
        "pareto_nbd": _purchase_model(ParetoNbdModel, history, test, horizon_days),
    }


def _logistic(train: TrainingSet, test: TrainingSet, names: list[str]) -> Floats:
    model = make_pipeline(FunctionTransformer(np.arcsinh), StandardScaler(), LogisticRegression())
    model.fit(_columns(train, names), train.y)
    return model.predict_proba(_columns(test, names))[:, 1]


def _purchase_model(
    model: type[PurchaseModel], history: PurchaseHistory, test: TrainingSet, horizon_days: int
) -> Floats:
    return fit_purchase_model(model, history, test.inputs, horizon_days).predict_proba(test.x)[:, 1]


def _columns(data: TrainingSet, names: list[str]) -> Floats:
    return np.column_stack([data.column(name) for name in names])
