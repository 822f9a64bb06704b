"""Which rows may be scored, and the scores of those that may. The policy for missing and old features is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_repo.model_contract import Feature, input_matrix
from services.definitions import RECENCY, Definitions
from services.errors import Refusal
from services.explaining import explain
from services.model import Model
from services.online_features import FeatureRow
from services.schemas import Explanation


@dataclass(frozen=True)
class Refused:
    """A row that gets no score, and why.

    ``detail`` is for the caller; ``remedy`` for who runs the service: the cause, which many rows may share, and
    what to do about it.
    """

    row: FeatureRow
    reason: Refusal
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Scored:
    """A row with its churn probability; ``active`` and ``explanation`` as in ``Prediction``."""

    row: FeatureRow
    probability: float
    active: bool
    stale: bool
    explanation: Explanation | None


def score(
    model: Model, definitions: Definitions, rows: Sequence[FeatureRow], with_reasons: bool = False
) -> list[Scored | Refused]:
    """One outcome per row, in the order of ``rows``.

    Raises:
        NoReasonsError: Reasons are wanted of a model that has none.
    """
    refused = [_refusal(row, definitions) for row in rows]
    usable = [row for row, refusal in zip(rows, refused, strict=True) if refusal is None]
    outcomes = iter(_scored(model, definitions, usable, with_reasons) if usable else [])
    return [refusal or next(outcomes) for refusal in refused]


def _scored(model: Model, definitions: Definitions, rows: Sequence[FeatureRow], with_reasons: bool) -> list[Scored]:
    inputs, soft_limit = definitions.inputs, min(limit.soft for limit in definitions.limits.values())
    columns = {feature.name: [row.values[feature.name] for row in rows] for feature in inputs}
    matrix = input_matrix(inputs, columns)
    probabilities = model.churn_probabilities(matrix)
    explanations = explain(model, matrix) if with_reasons else [None] * len(rows)
    return [
        Scored(
            row,
            float(probability),
            active=row.values[RECENCY] <= model.contract.activity_days,
            stale=row.age > soft_limit,
            explanation=explanation,
        )
        for row, probability, explanation in zip(rows, probabilities, explanations, strict=True)
    ]


def _refusal(row: FeatureRow, definitions: Definitions) -> Refused | None:
    customer = f"customer {row.customer_id!r}"
    if not row.timestamps:
        return Refused(row, "unknown_customer", f"Customer {row.customer_id!r} is not in the feature store.")
    if _is_updating(row, definitions.materialised_to):
        return Refused(
            row,
            "features_updating",
            f"The features of {customer} are being updated; try again.",
            f"Stored features are partly of the snapshot of {_iso(row.newest)}, partly older. Unless a "
            "materialisation is running, one was cut short: run `python -m flows.features`.",
        )
    if row.is_later_than(row.as_of):
        return Refused(
            row,
            "as_of_before_features",
            f"as_of {_iso(row.as_of)} is earlier than the stored features of {customer}, which are as of "
            f"{_iso(row.newest)}. Only the latest features are kept.",
            f"Features are as of {_iso(row.newest)}, after the service's own time: is its clock right?",
        )
    view, limit = min(((name, limits.hard) for name, limits in definitions.limits.items()), key=lambda item: item[1])
    if row.age > limit:
        return Refused(
            row,
            "features_too_old",
            f"The features of {customer} are {_days(row.age)} old (as of {_iso(row.newest)}); the limit is "
            f"{_days(limit)}.",
            f"Features as of {_iso(row.newest)} are beyond the limit of {view}, {_days(limit)}. Build and materialise "
            "newer ones: `python -m flows.features`.",
        )
    if missing := _missing(row, definitions.inputs):
        what = "not in the feature store" if missing in row.absent else "null, and may not be"
        return Refused(
            row,
            "missing_feature",
            f"Feature {missing.view}:{missing.name} of {customer} is {what}.",
            f"Feature {missing.view}:{missing.name} as of {_iso(row.newest)} is {what}, for some customers. Build and "
            "materialise the features again: `python -m flows.features`.",
        )
    return None


def _is_updating(row: FeatureRow, materialised_to: datetime) -> bool:
    """Feast writes view by view, and all stored views of a snapshot have the same timestamp.

    A new customer's first views have no older ones to differ from. And in replay, where as_of is the end of the
    last finished materialisation, features may be complete before the registry says so.
    """
    if len(set(row.timestamps.values())) > 1:
        return True
    return row.is_later_than(materialised_to) and (bool(row.absent) or row.as_of == materialised_to)


def _missing(row: FeatureRow, inputs: Sequence[Feature]) -> Feature | None:
    """The first input without a usable value: absent from the store, or null where the view permits none."""
    for feature in inputs:
        value = row.values[feature.name]
        is_null = value is None or value != value
        if feature in row.absent or (is_null and not feature.nullable):
            return feature
    return None


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _days(age: timedelta) -> str:
    return f"{age / timedelta(days=1):.2f} days"
