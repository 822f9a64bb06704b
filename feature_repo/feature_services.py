"""Feature services: the inputs of a model, in their order."""

from feast import FeatureService

from feature_repo.feature_views import (
    customer_purchase_history,
    customer_purchase_rhythm,
    customer_recent_activity,
    customer_subscription,
)
from feature_repo.on_demand_feature_views import customer_request_time, customer_subscription_time
from feature_repo.settings import Settings

# The label not_renewed scores customers by days_to_subscription_end; other shops have no subscriptions.
_SUBSCRIPTION = [customer_subscription[["subscription_term_days", "renewals"]], customer_subscription_time]

churn_v1 = FeatureService(
    name="churn_v1",
    features=[
        customer_purchase_history[["purchase_days", "total_amount", "mean_purchase_amount"]],
        customer_recent_activity,
        customer_purchase_rhythm,
        customer_request_time,
        *(_SUBSCRIPTION if Settings.from_environment().label == "not_renewed" else []),
    ],
    description="Inputs of the churn model, first version.",
    owner="data@holdfast.example",
    tags={"model": "holdfast-churn"},
)
