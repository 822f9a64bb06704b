"""Which rows may be scored, and the scores of those that may. The policy for missing and old features is here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_repo.model_contract import Feature, Freshness, input_matrix
from services.errors import Refusal
from services.model import Model
from services.online_features import FeatureRow


@dataclass(frozen=True)
class Refused:
    """A row that gets no score, and why."""

    row: FeatureRow
    reason: Refusal
    detail: str


@dataclass(frozen=True)
class Scored:
    """A row with its churn probability."""

    row: FeatureRow
    probability: float
    age: timedelta
    stale: bool


def score(
    model: Model, inputs: Sequence[Feature], limits: Mapping[str, Freshness], rows: Sequence[FeatureRow]
) -> list[Scored | Refused]:
    """One outcome per row, in the order of ``rows``."""
    refused = [_refusal(row, inputs, limits) for row in rows]
    usable = [row for row, refusal in zip(rows, refused, strict=True) if refusal is None]
    outcomes = iter(_scored(model, inputs, limits, usable) if usable else [])
    return [refusal or next(outcomes) for refusal in refused]


def _scored(
    model: Model, inputs: Sequence[Feature], limits: Mapping[str, Freshness], rows: Sequence[FeatureRow]
) -> list[Scored]:
    columns = {feature.name: [row.values[feature.name] for row in rows] for feature in inputs}
    probabilities = model.churn_probabilities(input_matrix(list(inputs), columns))
    return [
        Scored(row, float(probability), row.as_of - row.oldest, _is_stale(row, limits))
        for row, probability in zip(rows, probabilities, strict=True)
    ]


def _refusal(row: FeatureRow, inputs: Sequence[Feature], limits: Mapping[str, Freshness]) -> Refused | None:
    if not row.timestamps:
        return Refused(row, "unknown_customer", f"Customer {row.customer_id!r} is not in the feature store.")
    view, newest = max(row.timestamps.items(), key=lambda item: item[1])
    if newest > row.as_of:
        return Refused(
            row,
            "as_of_before_features",
            f"as_of {_iso(row.as_of)} is earlier than the stored features of customer {row.customer_id!r}: "
            f"{view} is as of {_iso(newest)}. The online store keeps the latest features only; for the past, use "
            "the batch scores.",
        )
    for view, timestamp in sorted(row.timestamps.items(), key=lambda item: item[1]):
        age, hard = row.as_of - timestamp, limits[view].hard
        if hard and age > hard:  # Feast's ttl of zero means no limit
            return Refused(
                row,
                "features_too_old",
                f"The features of customer {row.customer_id!r} in {view} are {_days(age)} old (as of "
                f"{_iso(timestamp)}); the limit is {_days(hard)}. Build and materialise newer features: "
                "`python -m flows.features`.",
            )
    if missing := _missing(row, inputs):
        what = "not in the feature store" if missing in row.absent else "null, and may not be"
        return Refused(
            row,
            "missing_feature",
            f"Feature {missing.view}:{missing.name} of customer {row.customer_id!r} is {what}. Build and "
            "materialise the features again: `python -m flows.features`.",
        )
    return None


def _missing(row: FeatureRow, inputs: Sequence[Feature]) -> Feature | None:
    """The first input without a usable value: absent from the store, or null where the view permits none."""
    for feature in inputs:
        value = row.values[feature.name]
        is_null = value is None or value != value
        if feature in row.absent or (is_null and not feature.nullable):
            return feature
    return None


def _is_stale(row: FeatureRow, limits: Mapping[str, Freshness]) -> bool:
    return any(row.as_of - timestamp > limits[view].soft for view, timestamp in row.timestamps.items())


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _days(age: timedelta) -> str:
    return f"{age / timedelta(days=1):.2f} days"
