"""Names of models, and of the values that each of them predicts."""

from typing import Literal

ModelKind = Literal["classification", "regression"]

CHURN = "churn"
CHURN_COLUMN = "churn_probability"


def prediction_column(model: str, kind: ModelKind) -> str:
    """Return the name of a model's prediction, in responses and in the prediction log.

    Args:
        model: Name of the model, such as ``churn``.
        kind: Kind of the model.

    Returns:
        ``MODEL_probability`` of a classification, ``expected_MODEL`` of a regression.
    """
    return f"{model}_probability" if kind == "classification" else f"expected_{model}"
