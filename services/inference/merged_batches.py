"""Concatenation of scored batches, to record many small batches at once."""

from collections.abc import Sequence

import numpy as np

from holdfast.online_features.reader import OnlineFeatures
from services.features.feature_checks import CheckedInputs, RejectedCustomer
from services.features.version_inputs import VersionInputs
from services.inference.scored_requests import BatchScores, ScoredRequests


def merge_batches(batches: Sequence[ScoredRequests]) -> ScoredRequests:
    """Concatenate batches of the same models and definitions.

    Args:
        batches: At least one batch.

    Returns:
        One batch, with the stages of the last.
    """
    if len(batches) == 1:
        return batches[0]
    scores = [batch.scores for batch in batches]
    last = batches[-1]
    return ScoredRequests(
        requests=[request for batch in batches for request in batch.requests],
        models=last.models,
        inputs=VersionInputs(last.inputs.definitions, _merge_checked([batch.inputs.checked for batch in batches])),
        challenger_inputs=_merge_challenger_inputs(batches),
        usable=np.concatenate([batch.usable for batch in batches]),
        scores=BatchScores(
            predictions=np.concatenate([one.predictions for one in scores]),
            models=[model for one in scores for model in one.models],
            newest_us=np.concatenate([one.newest_us for one in scores]),
            stale=np.concatenate([one.stale for one in scores]),
            active=np.concatenate([one.active for one in scores]),
        ),
        stages=last.stages,
    )


def _merge_challenger_inputs(batches: Sequence[ScoredRequests]) -> VersionInputs | None:
    parts = [batch.challenger_inputs for batch in batches]
    read = [part for part in parts if part is not None]
    if not read:
        return None
    positions = []
    start = 0
    for batch, part in zip(batches, parts, strict=True):
        if part is None:
            positions.append(np.full(len(batch.usable), -1))
            continue
        own = np.arange(len(batch.usable)) if part.positions is None else part.positions
        positions.append(np.where(own < 0, -1, own + start))
        start += len(part.checked.newest_us)
    checked = _merge_checked([part.checked for part in read])
    return VersionInputs(read[-1].definitions, checked, np.concatenate(positions))


def _merge_checked(checked: Sequence[CheckedInputs]) -> CheckedInputs:
    if len(checked) == 1:
        return checked[0]
    features = [one.features for one in checked]
    rejected: dict[int, RejectedCustomer] = {}
    start = 0
    for one in checked:
        rejected |= {start + row: customer for row, customer in one.rejected.items()}
        start += len(one.newest_us)
    return CheckedInputs(
        features=OnlineFeatures(
            customer_ids=[customer for one in features for customer in one.customer_ids],
            as_of_us=np.concatenate([one.as_of_us for one in features]),
            inputs=np.concatenate([one.inputs for one in features]),
            faults=np.concatenate([one.faults for one in features]),
            timestamps_us=np.concatenate([one.timestamps_us for one in features]),
        ),
        statuses=np.concatenate([one.statuses for one in checked]),
        newest_us=np.concatenate([one.newest_us for one in checked]),
        stale=np.concatenate([one.stale for one in checked]),
        rejected=rejected,
    )
