"""Names that feature definitions, training and serving share."""

ENTITY_KEY = "customer_id"
FEATURE_SERVICE = "churn_v1"
REQUEST_TIME = "as_of_us"
SUBSCRIPTION_END = "subscription_end"  # attribute: time at which the subscription of a customer ends
