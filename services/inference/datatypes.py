"""Requests, scores and results that are passed between API, predictor and recorder."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.models.loaded_model import LoadedModel
from holdfast.online_features.reader import OnlineFeatures
from services.inference.feature_checks import CheckedInputs, RejectedCustomer
from services.observability.stage_times import StageTimes
from services.schemas import Explanation

if TYPE_CHECKING:
    from services.inference.feature_definitions import FeatureDefinitions
    from services.models.served_models import ServedModels


@dataclass(frozen=True)
class ScoringRequest:
    """Request for the scores of customers.

    Attributes:
        customer_ids: Customers.
        as_of: Time to predict for; None: now.
        explain: Add explanations.
        request_id: Id of the request.
    """

    customer_ids: Sequence[str]
    as_of: datetime | None
    explain: bool
    request_id: str


@dataclass(frozen=True)
class BatchScores:
    """Churn probability (NaN: not scored) and scoring model of each row."""

    probabilities: Floats
    models: list[LoadedModel]


@dataclass(frozen=True)
class ScoredRequests:
    """Requests that were scored together; a row is one customer of one request, in order.

    Attributes:
        requests: The requests.
        models: Models in service.
        definitions: Feature definitions.
        checked: Checked model inputs, with the rejected customers.
        usable: Rows that were scored.
        scores: Scores.
        stages: Times of the stages.
    """

    requests: Sequence[ScoringRequest]
    models: "ServedModels"
    definitions: "FeatureDefinitions"
    checked: CheckedInputs
    usable: Bools
    scores: BatchScores
    stages: StageTimes


@dataclass(frozen=True)
class ScoringResult:
    """Result of one request.

    Attributes:
        request: The request.
        batch: Requests that were scored together with it.
        start: First row of the request in the batch.
        stop: Row after its last row.
        explanations: Explanations by row of the batch.
    """

    request: ScoringRequest
    batch: ScoredRequests
    start: int
    stop: int
    explanations: dict[int, Explanation]


def merge_batches(batches: Sequence[ScoredRequests]) -> ScoredRequests:
    """Concatenate batches of the same models and definitions.

    Args:
        batches: At least one batch.

    Returns:
        One batch, with the stages of the last.
    """
    if len(batches) == 1:
        return batches[0]
    last = batches[-1]
    checked = [batch.checked for batch in batches]
    features = [one.features for one in checked]
    rejected: dict[int, RejectedCustomer] = {}
    start = 0
    for batch in batches:
        rejected |= {start + row: customer for row, customer in batch.checked.rejected.items()}
        start += len(batch.usable)
    return ScoredRequests(
        requests=[request for batch in batches for request in batch.requests],
        models=last.models,
        definitions=last.definitions,
        checked=CheckedInputs(
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
            active=np.concatenate([one.active for one in checked]),
            rejected=rejected,
        ),
        usable=np.concatenate([batch.usable for batch in batches]),
        scores=BatchScores(
            np.concatenate([batch.scores.probabilities for batch in batches]),
            [model for batch in batches for model in batch.scores.models],
        ),
        stages=last.stages,
    )
