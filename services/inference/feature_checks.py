"""In what status each model input was found, what that means for the customer, and the scores of who gets one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from feature_repo.timestamps import NO_TIME, from_epoch_us
from holdfast.core.types import Bools, Ints
from holdfast.models.contract import Feature
from holdfast.online_features.reader import Fault, OnlineFeatures
from services.errors import RejectionReason
from services.inference.feature_definitions import FeatureDefinitions


class InputStatus(IntEnum):
    """How a model input was found.

    STALE: older than its view's soft limit; EXPIRED: than its hard limit; INVALID: not of its type, or infinite.
    """

    PRESENT = 0
    STALE = 1
    MISSING = 2
    INVALID = 3
    EXPIRED = 4
    UNKNOWN_CUSTOMER = 5


# The whole policy: what becomes of a customer of whom an input has this status. None is scored; a STALE one is
# flagged. Nothing is ever filled in. A null where the view permits one is PRESENT: the model was trained on it.
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
    """A customer who gets no score, and why.

    ``detail`` is for the caller; ``remedy`` for who runs the service: the cause, which many customers may share, and
    what to do about it.
    """

    reason: RejectionReason
    detail: str
    remedy: str = ""


_UNAVAILABLE = RejectedCustomer("store_unavailable", "The online store cannot be read now.")


@dataclass(frozen=True)
class CheckedInputs:
    """What was found of n customers: the status of every input, and who may not be scored.

    ``statuses`` has shape (n, inputs); ``newest_us`` (n,) is the event time of the view refreshed last, the same for
    all views of a customer who may be scored; ``stale`` and ``active`` (n,) are as in ``Prediction``.
    """

    features: OnlineFeatures
    statuses: npt.NDArray[np.uint8]
    newest_us: Ints
    stale: Bools
    active: Bools
    refused: dict[int, RejectedCustomer]


def check(
    features: OnlineFeatures,
    definitions: FeatureDefinitions,
    activity_days: int,
    unknown: Bools | None = None,
) -> CheckedInputs:
    """Apply the policy to each customer.

    ``unknown`` says that the online store is down: of these customers nothing is known, of the others what it held
    last, which is stale whatever its age.
    """
    newest = features.timestamps_us.max(axis=1)
    active = features.inputs[:, definitions.recency] <= activity_days
    if unknown is None and _is_plain(features, definitions, newest):
        nobody = np.zeros(len(newest), dtype=bool)
        return CheckedInputs(features, np.zeros(features.inputs.shape, dtype=np.uint8), newest, nobody, active, {})
    statuses = _statuses(features, definitions)
    times, as_of = features.timestamps_us, features.as_of_us
    materialised_to = definitions.materialised_to_us
    # Feast writes view by view, and all stored views of a snapshot have the same timestamp. A new customer's first
    # views have no older ones to differ from. And in replay, where as_of is the end of the last finished
    # materialisation, features may be complete before the registry says so.
    known = times != NO_TIME
    partly = (times.min(axis=1, where=known, initial=np.iinfo(np.int64).max) != newest) & known.any(axis=1)
    ahead = (newest > materialised_to) & (~known.all(axis=1) | (as_of == materialised_to))
    updating = partly | ahead
    early = newest > as_of
    bad = (statuses > InputStatus.STALE).any(axis=1) | updating | early
    refused = {
        row: _refusal(row, features, definitions, statuses[row], bool(updating[row]), bool(early[row]))
        for row in np.flatnonzero(bad).tolist()
    }
    stale = (statuses == InputStatus.STALE).any(axis=1)
    if unknown is not None:
        stale[:] = True
        refused |= dict.fromkeys(np.flatnonzero(unknown).tolist(), _UNAVAILABLE)
    return CheckedInputs(features, statuses, newest, stale, active, refused)


def _is_plain(features: OnlineFeatures, definitions: FeatureDefinitions, newest: Ints) -> bool:
    """Whether all is as it should be, which is quicker to see than what is wrong: whole, finished, finite, fresh."""
    return bool(
        not features.faults.any()
        and (features.timestamps_us == newest[:, np.newaxis]).all()
        and newest.max() <= definitions.materialised_to_us
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
        statuses[~known @ uses.T] = InputStatus.MISSING  # also what is stored without a time: it may be of any age
    if features.faults.any():
        statuses[(features.faults == Fault.ABSENT) | (features.faults == Fault.NULL)] = InputStatus.MISSING
        statuses[features.faults == Fault.WRONG_TYPE] = InputStatus.INVALID
        statuses[(features.faults == Fault.ABSENT).all(axis=1) & ~known.any(axis=1)] = InputStatus.UNKNOWN_CUSTOMER
    return statuses


def _refusal(
    row: int,
    features: OnlineFeatures,
    definitions: FeatureDefinitions,
    statuses: npt.NDArray[np.uint8],
    updating: bool,
    early: bool,
) -> RejectedCustomer:
    """The first reason that holds; a customer in the middle of an update may look wrong in every other way too."""
    customer = f"customer {features.customer_ids[row]!r}"
    if (statuses == InputStatus.UNKNOWN_CUSTOMER).any():
        return RejectedCustomer("unknown_customer", f"C{customer[1:]} is not in the feature store.")
    newest_us = int(features.timestamps_us[row].max())
    if newest_us == NO_TIME:
        return _unusable(customer, "", definitions.reader.inputs, statuses, features.faults[row])
    newest, as_of = from_epoch_us(newest_us), from_epoch_us(int(features.as_of_us[row]))
    if updating:
        return RejectedCustomer(
            "features_updating",
            f"The features of {customer} are being updated; try again.",
            f"Stored features are partly of the snapshot of {_iso(newest)}, partly older. Unless a "
            "materialisation is running, one was cut short: run `python -m flows.features`.",
        )
    if early:
        return RejectedCustomer(
            "as_of_before_features",
            f"as_of {_iso(as_of)} is earlier than the stored features of {customer}, which are as of "
            f"{_iso(newest)}. Only the latest features are kept.",
            f"Features are as of {_iso(newest)}, after the service's own time: is its clock right?",
        )
    if (statuses == InputStatus.EXPIRED).any():
        place = int(np.argmin(definitions.hard_limits))
        limit = timedelta(microseconds=int(definitions.hard_limits[place]))
        return RejectedCustomer(
            "features_too_old",
            f"The features of {customer} are {_days(as_of - newest)} old (as of {_iso(newest)}); the limit is "
            f"{_days(limit)}.",
            f"Features as of {_iso(newest)} are beyond the limit of {definitions.reader.views[place]}, "
            f"{_days(limit)}. Build and materialise newer ones: `python -m flows.features`.",
        )
    return _unusable(customer, f" as of {_iso(newest)}", definitions.reader.inputs, statuses, features.faults[row])


def _unusable(
    customer: str,
    as_of: str,
    inputs: Sequence[Feature],
    statuses: npt.NDArray[np.uint8],
    faults: npt.NDArray[np.uint8],
) -> RejectedCustomer:
    place = int(np.flatnonzero(statuses > InputStatus.STALE)[0])
    feature, reason = inputs[place], POLICY[InputStatus(statuses[place])]
    assert reason is not None
    what = {
        Fault.NONE: "infinite" if reason == "invalid_feature" else "stored without a time, so it may be of any age",
        Fault.ABSENT: "not in the feature store",
        Fault.NULL: "null, and may not be",
        Fault.WRONG_TYPE: f"not of its declared type, {feature.dtype}",
    }[Fault(faults[place])]
    return RejectedCustomer(
        reason,
        f"Feature {feature.view}:{feature.name} of {customer} is {what}.",
        f"Feature {feature.view}:{feature.name}{as_of} is {what}, for some customers. Build and materialise the "
        "features again: `python -m flows.features`.",
    )


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _days(age: timedelta) -> str:
    return f"{age / timedelta(days=1):.2f} days"
