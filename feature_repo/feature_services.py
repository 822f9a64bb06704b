"""Feature services: the inputs of a model, in their order."""

from feast import FeatureService

from feature_repo.feature_views import (
    customer_purchase_history,
    customer_purchase_rhythm,
    customer_recent_activity,
)
from feature_repo.on_demand_feature_views import customer_request_time

churn_v1 = FeatureService(
    name="churn_v1",
    features=[
        customer_purchase_history[["purchase_days", "total_amount", "mean_purchase_amount"]],
        customer_recent_activity,
        customer_purchase_rhythm,
        customer_request_time,
    ],
    description="Inputs of the churn model, first version.",
    owner="data@holdfast.example",
    tags={"model": "holdfast-churn"},
)
