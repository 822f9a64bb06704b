"""On-demand features: computed at the time of the request, by one function in training and serving."""

from typing import Any

from feast import Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

from feature_repo.entities import customer
from feature_repo.feature_views import customer_purchase_history, customer_purchase_rhythm, customer_subscription

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
        customer_purchase_history[["purchase_days", "first_purchase_us", "last_purchase_us"]],
        customer_purchase_rhythm[["mean_gap_days"]],
        request_time,
    ],
    # Feast requires these fields to equal those that it infers from the function: without descriptions and tags.
    schema=[
        Field(name="days_since_last_purchase", dtype=Float64),
        Field(name="tenure_days", dtype=Float64),
        Field(name="lateness_ratio", dtype=Float64),
        Field(name="silence_share", dtype=Float64),
        Field(name="no_purchase_log_odds_40d", dtype=Float64),
        Field(name="no_purchase_log_odds_60d", dtype=Float64),
        Field(name="no_purchase_log_odds_90d", dtype=Float64),
    ],
    mode="python",
    description="Features that depend on the request time. days_since_last_purchase and tenure_days: days from the "
    "last and first purchase to as_of. lateness_ratio: days since the last purchase over the customer's mean gap, "
    "above 1 is late. silence_share: share of the tenure that passed since the last purchase, 0 to 1. "
    "no_purchase_log_odds_40d, _60d and _90d: log-odds, -10 to 10, of no purchase in the next 90 days under MBG/NBD "
    "(Batislam, Denizel and Filiztekin, 2007) with fixed parameters and a mean gap of 40, 60 and 90 days.",
    owner="data@holdfast.example",
    tags={
        "domain": "retention",
        "nullable": "lateness_ratio",
        "increasing": "days_since_last_purchase,lateness_ratio,silence_share,"
        "no_purchase_log_odds_40d,no_purchase_log_odds_60d,no_purchase_log_odds_90d",
        "log_odds": "no_purchase_log_odds_40d,no_purchase_log_odds_60d,no_purchase_log_odds_90d",
    },
)
def customer_request_time(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Compute recency, tenure, lateness and silence of customers, and log-odds of no purchase under fixed parameters.

    The parameters are those of MBG/NBD: the purchase rate of a customer is Gamma(r, alpha), the probability of becoming
    inactive after a purchase, the first included, is Beta(0.8, 2.5). They are not fitted, so the values of a customer
    depend on the customer's own history alone.

    Args:
        inputs: Feature or request field to one value per customer.

    Returns:
        Feature to one value per customer; None where the customer's history is missing.
    """
    import math

    day_us = 86_400_000_000
    horizon, a, b = 90.0, 0.8, 2.5
    rates = {
        "no_purchase_log_odds_40d": (0.25, 10.0),
        "no_purchase_log_odds_60d": (0.5, 30.0),
        "no_purchase_log_odds_90d": (1.0, 90.0),
    }
    limit = 10.0  # beyond one in 22,000 a value has no meaning, and would outweigh all other customers in a fit
    outputs: dict[str, list[Any]] = {
        "days_since_last_purchase": [],
        "tenure_days": [],
        "lateness_ratio": [],
        "silence_share": [],
    } | {name: [] for name in rates}
    for as_of, days, first, last, gap in zip(
        inputs["as_of_us"],
        inputs["purchase_days"],
        inputs["first_purchase_us"],
        inputs["last_purchase_us"],
        inputs["mean_gap_days"],
        strict=True,
    ):
        if days is None or first is None or last is None or last != last:
            since_last = tenure = lateness = silence = None
            for name in rates:
                outputs[name].append(None)
        else:
            since_last = (as_of - last) / day_us
            tenure = (as_of - first) / day_us
            lateness = None if gap is None or gap != gap else since_last / gap
            silence = (as_of - last) / (as_of - first) if as_of > first else 0.0
            # A customer with one purchase day has been silent since the first purchase.
            repeats, age = max(days - 1, 0), max(tenure, 0.0)
            silent = min(max(since_last, 0.0), age) if repeats else age
            for name, (r, alpha) in rates.items():
                # Logarithms of the likelihoods of silence, relative to that of an active customer until the request:
                # of an active customer until the end of the horizon, and of an inactive customer.
                active = -(r + repeats) * math.log1p(horizon / (alpha + age))
                inactive = math.log(a / (b + repeats)) + (r + repeats) * math.log1p(silent / (alpha + age - silent))
                larger, smaller = max(active, inactive), min(active, inactive)
                log_odds = larger + math.log1p(math.exp(smaller - larger)) - math.log(-math.expm1(active))
                outputs[name].append(min(max(log_odds, -limit), limit))
        outputs["days_since_last_purchase"].append(since_last)
        outputs["tenure_days"].append(tenure)
        outputs["lateness_ratio"].append(lateness)
        outputs["silence_share"].append(silence)
    return outputs


@on_demand_feature_view(
    name="customer_subscription_time",
    entities=[customer],
    sources=[customer_subscription[["subscription_end_day"]], request_time],
    schema=[Field(name="days_to_subscription_end", dtype=Float64)],
    mode="python",
    description="days_to_subscription_end: days from as_of to the end of the subscription, below 0 after it. Null "
    "without a subscription.",
    owner="data@holdfast.example",
    tags={"domain": "retention", "nullable": "days_to_subscription_end"},
)
def customer_subscription_time(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Compute the days to the end of the subscription.

    Args:
        inputs: Feature or request field to one value per customer.

    Returns:
        Feature to one value per customer; None without a subscription.
    """
    day_us = 86_400_000_000
    return {
        "days_to_subscription_end": [
            None if end is None or end != end else end - as_of / day_us
            for as_of, end in zip(inputs["as_of_us"], inputs["subscription_end_day"], strict=True)
        ]
    }
