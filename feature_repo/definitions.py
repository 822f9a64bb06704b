"""All objects that `feast apply` registers.

Feast imports each file of the folder separately and would register an object twice that one file imports from another.
Therefore `.feastignore` excludes all files but this one, which imports each object once. Add new objects here.
"""

from feast import Project

from feature_repo.data_sources import (
    purchase_history_snapshots,
    purchase_rhythm_snapshots,
    recent_activity_snapshots,
)
from feature_repo.entities import customer
from feature_repo.feature_services import churn_v1
from feature_repo.feature_views import (
    customer_purchase_history,
    customer_purchase_rhythm,
    customer_recent_activity,
)
from feature_repo.on_demand_feature_views import customer_request_time, request_time
from feature_repo.settings import Settings

__all__ = [
    "churn_v1",
    "customer",
    "customer_purchase_history",
    "customer_purchase_rhythm",
    "customer_recent_activity",
    "customer_request_time",
    "project",
    "purchase_history_snapshots",
    "purchase_rhythm_snapshots",
    "recent_activity_snapshots",
    "request_time",
]

if Settings.from_environment().label == "not_renewed":
    from feature_repo.data_sources import subscription_snapshots
    from feature_repo.feature_views import customer_subscription
    from feature_repo.on_demand_feature_views import customer_subscription_time

    __all__ += ["customer_subscription", "customer_subscription_time", "subscription_snapshots"]

project = Project(
    name="holdfast",
    description="Customer churn from raw transactions: the same features in training and in serving.",
    owner="data@holdfast.example",
    tags={"domain": "retention"},
)
