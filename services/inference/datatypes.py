"""What passes between the front door, the predictor and the records: requests and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.models.loaded_model import LoadedModel
from holdfast.online_features.reader import OnlineFeatures
from services.inference.feature_checks import CheckedInputs, RejectedCustomer
from services.observability.tracing import StageTimes
from services.schemas import Explanation

if TYPE_CHECKING:
    from services.inference.feature_definitions import FeatureDefinitions
    from services.models.served_models import ServedModels


@dataclass(frozen=True)
class ScoringRequest:
    """A request: customers, the time to predict for (None: now), whether to give reasons, and its id."""

    customer_ids: Sequence[str]
    as_of: datetime | None
    explain: bool
    request_id: str


@dataclass(frozen=True)
class BatchScores:
    """By row: the churn probability (NaN: none) and the model it is of."""

    probabilities: Floats
    models: list[LoadedModel]


@dataclass(frozen=True)
class ScoredRequests:
    """All there is to say of a batch of requests; ``usable`` (rows,) marks who was scored."""

    asked: Sequence[ScoringRequest]
    lineup: "ServedModels"
    definitions: "FeatureDefinitions"
    checked: CheckedInputs
    usable: Bools
    scores: BatchScores
    stages: StageTimes


@dataclass(frozen=True)
class ScoringResult:
    """What became of one request: the rows ``start`` to ``stop`` of a batch, and their explanations by row."""

    asked: ScoringRequest
    batch: ScoredRequests
    start: int
    stop: int
    explanations: dict[int, Explanation]


def merge(batches: Sequence[ScoredRequests]) -> ScoredRequests:
    """Several batches of the same models and definitions as one, with the stages of the last."""
    if len(batches) == 1:
        return batches[0]
    last = batches[-1]
    checked = [batch.checked for batch in batches]
    features = [one.features for one in checked]
    refused: dict[int, RejectedCustomer] = {}
    start = 0
    for batch in batches:
        refused |= {start + row: why for row, why in batch.checked.refused.items()}
        start += len(batch.usable)
    return ScoredRequests(
        asked=[one for batch in batches for one in batch.asked],
        lineup=last.lineup,
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
            refused=refused,
        ),
        usable=np.concatenate([batch.usable for batch in batches]),
        scores=BatchScores(
            np.concatenate([batch.scores.probabilities for batch in batches]),
            [model for batch in batches for model in batch.scores.models],
        ),
        stages=last.stages,
    )
