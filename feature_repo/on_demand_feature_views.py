"""On-demand features: computed at the time of the request, by one function in training and serving."""

from typing import Any

from feast import Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

from feature_repo.entities import customer
from feature_repo.feature_views import customer_purchase_history, customer_purchase_rhythm

request_time = RequestSource(
    name="request_time",
    schema=[Field(name="as_of_us", dtype=Int64, description="The request's as_of, µs since 1970.")],
    description="Time of the prediction.",
    owner="data@holdfast.example",
    tags={"domain": "retention"},
)


# Feast stores the source of this function, so it can use nothing defined outside, such as DAY_US.
@on_demand_feature_view(
    name="customer_request_time",
    entities=[customer],
    sources=[
        customer_purchase_history[["first_purchase_us", "last_purchase_us"]],
        customer_purchase_rhythm[["mean_gap_days"]],
        request_time,
    ],
    # Feast requires these fields to equal those that it infers from the function: without descriptions and tags.
    schema=[
        Field(name="days_since_last_purchase", dtype=Float64),
        Field(name="tenure_days", dtype=Float64),
        Field(name="lateness_ratio", dtype=Float64),
        Field(name="silence_share", dtype=Float64),
    ],
    mode="python",
    description="Features that depend on the request time. days_since_last_purchase and tenure_days: days from the "
    "last and first purchase to as_of. lateness_ratio: days since the last purchase over the customer's mean gap, "
    "above 1 is late. silence_share: share of the tenure that passed since the last purchase, 0 to 1.",
    owner="data@holdfast.example",
    tags={
        "domain": "retention",
        "nullable": "lateness_ratio",
        "increasing": "days_since_last_purchase,lateness_ratio,silence_share",
    },
)
def customer_request_time(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Compute recency, tenure, lateness and silence of customers.

    Args:
        inputs: Feature or request field to one value per customer.

    Returns:
        Feature to one value per customer; None where the customer's history is missing.
    """
    day_us = 86_400_000_000
    outputs: dict[str, list[Any]] = {
        "days_since_last_purchase": [],
        "tenure_days": [],
        "lateness_ratio": [],
        "silence_share": [],
    }
    for as_of, first, last, gap in zip(
        inputs["as_of_us"],
        inputs["first_purchase_us"],
        inputs["last_purchase_us"],
        inputs["mean_gap_days"],
        strict=True,
    ):
        if first is None or last is None or last != last:
            since_last = tenure = lateness = silence = None
        else:
            since_last = (as_of - last) / day_us
            tenure = (as_of - first) / day_us
            lateness = None if gap is None or gap != gap else since_last / gap
            silence = (as_of - last) / (as_of - first) if as_of > first else 0.0
        outputs["days_since_last_purchase"].append(since_last)
        outputs["tenure_days"].append(tenure)
        outputs["lateness_ratio"].append(lateness)
        outputs["silence_share"].append(silence)
    return outputs
