"""Checks of model inputs: status of each input, and rejection of customers who must not be scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from feature_repo.timestamps import NO_TIME, from_epoch_us
from holdfast.core.types import Bools, Ints
from holdfast.models.contract import Feature
from holdfast.online_features.reader import OnlineFeatures
from holdfast.online_features.value_decoder import Fault
from services.errors import RejectionReason
from services.features.feature_definitions import FeatureDefinitions


class InputStatus(IntEnum):
    """Status of a model input.

    STALE: older than its view's soft limit; EXPIRED: older than its hard limit; INVALID: wrong type, or infinite.
    """

    PRESENT = 0
    STALE = 1
    MISSING = 2
    INVALID = 3
    EXPIRED = 4
    UNKNOWN_CUSTOMER = 5


# Reason to reject a customer with an input of this status; None: scored. STALE inputs are flagged in the response.
# No value is imputed. A null that the view permits is PRESENT: the model was trained with it.
POLICY: dict[InputStatus, RejectionReason | None] = {
    InputStatus.PRESENT: None,
    InputStatus.STALE: None,
    InputStatus.MISSING: "missing_feature",
    InputStatus.INVALID: "invalid_feature",
    InputStatus.EXPIRED: "features_too_old",
    InputStatus.UNKNOWN_CUSTOMER: "unknown_customer",
}


@dataclass(frozen=True)
class RejectedCustomer:
    """Rejection of a customer.

    Attributes:
        reason: Reason of the rejection.
        detail: Sentence for the caller.
        remedy: Cause and remedy for the operator, the same text for all customers with this cause.
    """

    reason: RejectionReason
    detail: str
    remedy: str = ""


_UNAVAILABLE = RejectedCustomer("store_unavailable", "The online store cannot be read now.")


@dataclass(frozen=True)
class CheckedInputs:
    """Checked model inputs of n customers.

    Attributes:
        features: Features.
        statuses: ``InputStatus`` of each input, shape (n, inputs).
        newest_us: Event time of the newest view, µs since 1970, shape (n,); all views of a customer who may be scored
            have this time.
        stale: As in ``Prediction``, shape (n,).
        rejected: Rejected customers by row.
    """

    features: OnlineFeatures
    statuses: npt.NDArray[np.uint8]
    newest_us: Ints
    stale: Bools
    rejected: dict[int, RejectedCustomer]


def check_inputs(
    features: OnlineFeatures, definitions: FeatureDefinitions, unknown: Bools | None = None
) -> CheckedInputs:
    """Apply the policy to each customer.

    Args:
        features: Features of n customers.
        definitions: Feature definitions.
        unknown: Given while the online store is down: mask of customers without cached features, shape (n,). Cached
            features are stale at any age.

    Returns:
        Checked inputs.
    """
    newest = features.timestamps_us.max(axis=1)
    if unknown is None and _is_valid(features, definitions, newest):
        stale = np.zeros(len(newest), dtype=bool)
        return CheckedInputs(features, np.zeros(features.inputs.shape, dtype=np.uint8), newest, stale, {})
    statuses = _statuses(features, definitions)
    times, as_of = features.timestamps_us, features.as_of_us
    materialized_to = definitions.materialized_to_us
    # Feast writes view by view, and all stored views of a snapshot have the same timestamp. The first views of a new
    # customer have no older views to differ from. In replay as_of is the end of the last finished materialization, and
    # features may be complete before the registry records it.
    known = times != NO_TIME
    partial = (times.min(axis=1, where=known, initial=np.iinfo(np.int64).max) != newest) & known.any(axis=1)
    ahead = (newest > materialized_to) & (~known.all(axis=1) | (as_of == materialized_to))
    updating = partial | ahead
    early = newest > as_of
    bad = (statuses > InputStatus.STALE).any(axis=1) | updating | early
    rejected = {
        row: _reject(row, features, definitions, statuses[row], bool(updating[row]), bool(early[row]))
        for row in np.flatnonzero(bad).tolist()
    }
    stale = (statuses == InputStatus.STALE).any(axis=1)
    if unknown is not None:
        stale[:] = True
        rejected |= dict.fromkeys(np.flatnonzero(unknown).tolist(), _UNAVAILABLE)
    return CheckedInputs(features, statuses, newest, stale, rejected)


def _is_valid(features: OnlineFeatures, definitions: FeatureDefinitions, newest: Ints) -> bool:
    """Check the common case, faster than all statuses: complete, materialized, finite and fresh."""
    return bool(
        not features.faults.any()
        and (features.timestamps_us == newest[:, np.newaxis]).all()
        and newest.max() <= definitions.materialized_to_us
        and newest.min() != NO_TIME
        and (age := features.as_of_us - newest).min() >= 0
        and age.max() <= definitions.shortest_soft_limit
        and not np.isinf(features.inputs).any()
    )


def _statuses(features: OnlineFeatures, definitions: FeatureDefinitions) -> npt.NDArray[np.uint8]:
    known = features.timestamps_us != NO_TIME
    age = np.where(known, features.as_of_us[:, np.newaxis] - np.where(known, features.timestamps_us, 0), 0)
    uses = definitions.reader.input_views
    statuses = np.zeros(features.inputs.shape, dtype=np.uint8)
    stale, expired = age > definitions.soft_limits, age > definitions.hard_limits
    if stale.any():
        statuses[stale @ uses.T] = InputStatus.STALE
        statuses[expired @ uses.T] = InputStatus.EXPIRED
    statuses[np.isinf(features.inputs)] = InputStatus.INVALID
    if not known.all():
        statuses[~known @ uses.T] = InputStatus.MISSING  # also values stored without a time, which may have any age
    if features.faults.any():
        statuses[(features.faults == Fault.ABSENT) | (features.faults == Fault.NULL)] = InputStatus.MISSING
        statuses[features.faults == Fault.WRONG_TYPE] = InputStatus.INVALID
        statuses[(features.faults == Fault.ABSENT).all(axis=1) & ~known.any(axis=1)] = InputStatus.UNKNOWN_CUSTOMER
    return statuses


def _reject(
    row: int,
    features: OnlineFeatures,
    definitions: FeatureDefinitions,
    statuses: npt.NDArray[np.uint8],
    updating: bool,
    early: bool,
) -> RejectedCustomer:
    """Return the first reason that applies; an update of the features comes before its possible consequences."""
    customer = f"customer {features.customer_ids[row]!r}"
    if (statuses == InputStatus.UNKNOWN_CUSTOMER).any():
        return RejectedCustomer("unknown_customer", f"C{customer[1:]} is not in the feature store.")
    newest_us = int(features.timestamps_us[row].max())
    if newest_us == NO_TIME:
        return _reject_input(customer, "", definitions.reader.inputs, statuses, features.faults[row])
    newest, as_of = from_epoch_us(newest_us), from_epoch_us(int(features.as_of_us[row]))
    if updating:
        return RejectedCustomer(
            "features_updating",
            f"The features of {customer} are being updated; try again.",
            f"Stored features are partly of the snapshot of {_iso(newest)}, partly older. Unless a "
            "materialization is running, one was interrupted: run `python -m flows.features`.",
        )
    if early:
        return RejectedCustomer(
            "as_of_before_features",
            f"as_of {_iso(as_of)} is earlier than the stored features of {customer}, which are as of "
            f"{_iso(newest)}. Only the latest features are stored.",
            f"Features are as of {_iso(newest)}, later than the service's clock. Check the clock.",
        )
    if (statuses == InputStatus.EXPIRED).any():
        view = int(np.argmin(definitions.hard_limits))
        limit = timedelta(microseconds=int(definitions.hard_limits[view]))
        return RejectedCustomer(
            "features_too_old",
            f"The features of {customer} are {_days(as_of - newest)} old (as of {_iso(newest)}); the limit is "
            f"{_days(limit)}.",
            f"Features as of {_iso(newest)} are older than the limit of {definitions.reader.views[view]}, "
            f"{_days(limit)}. Build and materialize newer features: `python -m flows.features`.",
        )
    return _reject_input(customer, f" as of {_iso(newest)}", definitions.reader.inputs, statuses, features.faults[row])


def _reject_input(
    customer: str,
    as_of: str,
    inputs: Sequence[Feature],
    statuses: npt.NDArray[np.uint8],
    faults: npt.NDArray[np.uint8],
) -> RejectedCustomer:
    position = int(np.flatnonzero(statuses > InputStatus.STALE)[0])
    feature, reason = inputs[position], POLICY[InputStatus(statuses[position])]
    assert reason is not None
    fault = {
        Fault.NONE: "infinite" if reason == "invalid_feature" else "stored without a time, so it may have any age",
        Fault.ABSENT: "not in the feature store",
        Fault.NULL: "null, which its schema forbids",
        Fault.WRONG_TYPE: f"not of its declared type, {feature.dtype}",
    }[Fault(faults[position])]
    return RejectedCustomer(
        reason,
        f"Feature {feature.view}:{feature.name} of {customer} is {fault}.",
        f"Feature {feature.view}:{feature.name}{as_of} is {fault}, for some customers. Build and materialize the "
        "features again: `python -m flows.features`.",
    )


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _days(age: timedelta) -> str:
    return f"{age / timedelta(days=1):.2f} days"
