"""Stored features, read from snapshots.

``ttl`` is the hard freshness limit: older values are rejected. The tag ``soft_limit_hours`` is the soft limit: older
values are served and flagged as stale. The tag ``nullable`` lists the fields that may be null, and the description of
the view explains null there; in any other field a null is an error. The tag ``increasing`` lists the fields whose
higher value can only raise the churn risk: a constraint of every model. The tag ``log_odds`` lists the fields that are
in log-odds already, which a linear model uses as they are. The tag ``slice_only`` lists the fields that define groups
in the evaluation of a model (training setting ``slices``) and may not be its inputs, such as a protected attribute. A
String is a category: few texts, each of many customers.
"""

from datetime import timedelta

from feast import Field
from feast.types import Float64, Int64, String

from feature_repo.data_sources import (
    purchase_history_snapshots,
    purchase_rhythm_snapshots,
    recent_activity_snapshots,
    subscription_snapshots,
)
from feature_repo.entities import customer
from feature_repo.snapshot_view import SnapshotView

_HARD_LIMIT = timedelta(days=30)
_OWNER = "data@holdfast.example"
_TAGS = {"domain": "retention", "soft_limit_hours": "48"}
_KEY = Field(name="customer_id", dtype=String, description="The customer's id.")

customer_purchase_history = SnapshotView(
    name="customer_purchase_history",
    entities=[customer],
    schema=[
        _KEY,
        Field(name="purchase_days", dtype=Int64, description="Distinct days with a purchase."),
        Field(name="total_amount", dtype=Float64, description="Spend less returns."),
        Field(name="mean_purchase_amount", dtype=Float64, description="Spend per purchase day."),
        Field(name="first_purchase_us", dtype=Int64, description="First purchase, µs since 1970."),
        Field(name="last_purchase_us", dtype=Int64, description="Last purchase, µs since 1970."),
    ],
    source=purchase_history_snapshots,
    ttl=_HARD_LIMIT,
    description="Purchase history of the customer: frequency, amounts, first and last purchase.",
    owner=_OWNER,
    tags=_TAGS,
)

customer_recent_activity = SnapshotView(
    name="customer_recent_activity",
    entities=[customer],
    schema=[
        _KEY,
        Field(name="purchase_days_30d", dtype=Int64, description="Purchase days in the last 30 days."),
        Field(name="purchase_days_90d", dtype=Int64, description="Purchase days in the last 90 days."),
        Field(name="purchase_days_180d", dtype=Int64, description="Purchase days in the last 180 days."),
        Field(name="amount_30d", dtype=Float64, description="Spend less returns in the last 30 days."),
        Field(name="amount_90d", dtype=Float64, description="Spend less returns in the last 90 days."),
        Field(name="amount_180d", dtype=Float64, description="Spend less returns in the last 180 days."),
        Field(
            name="purchase_days_trend_90d",
            dtype=Int64,
            description="Purchase days in the last 90 days less those in the 90 days before.",
        ),
    ],
    source=recent_activity_snapshots,
    ttl=_HARD_LIMIT,
    description="Recent activity of the customer, and its change since the period before.",
    owner=_OWNER,
    tags=_TAGS,
)

customer_purchase_rhythm = SnapshotView(
    name="customer_purchase_rhythm",
    entities=[customer],
    schema=[
        _KEY,
        Field(name="mean_gap_days", dtype=Float64, description="Mean gap, days."),
        Field(
            name="std_gap_days",
            dtype=Float64,
            description="Population standard deviation of the gaps, days.",
        ),
        Field(name="max_gap_days", dtype=Float64, description="Longest gap, days."),
        Field(name="last_gap_days", dtype=Float64, description="Latest gap, days."),
    ],
    source=purchase_rhythm_snapshots,
    ttl=_HARD_LIMIT,
    description="Gaps between the customer's purchase days. Null after a single purchase day.",
    owner=_OWNER,
    tags=_TAGS | {"nullable": "mean_gap_days,std_gap_days,max_gap_days,last_gap_days"},
)

customer_subscription = SnapshotView(
    name="customer_subscription",
    entities=[customer],
    schema=[
        _KEY,
        Field(name="subscription_end_day", dtype=Float64, description="End of the subscription, days since 1970."),
        Field(name="subscription_term_days", dtype=Float64, description="Days from the last statement to the end."),
        Field(name="renewals", dtype=Int64, description="Statements of a later end than the one before."),
    ],
    source=subscription_snapshots,
    ttl=_HARD_LIMIT,
    description="Subscription with an end. Null without a subscription, or where its end was erased.",
    owner=_OWNER,
    tags=_TAGS | {"nullable": "subscription_end_day,subscription_term_days"},
)
