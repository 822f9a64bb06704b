"""What passes between the front door, the predictor and the records: requests and what became of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from services.model import Model
from services.schemas import Explanation
from services.scoring import Checked

if TYPE_CHECKING:
    from services.definitions import Definitions
    from services.lineup import Lineup


@dataclass(frozen=True)
class Asked:
    """A request: customers, the time to predict for (None: now), whether to give reasons, and its id."""

    customer_ids: Sequence[str]
    as_of: datetime | None
    explain: bool
    request_id: str


@dataclass
class Stages:
    """When a batch began, and when its features were fetched, transformed and scored; seconds since 1970."""

    began: float = field(default_factory=time.time)
    fetched: float = 0.0
    transformed: float = 0.0
    scored: float = 0.0


@dataclass(frozen=True)
class Scores:
    """By row: the churn probability (NaN: none) and the model it is of."""

    probabilities: npt.NDArray[np.float64]
    models: list[Model]


@dataclass(frozen=True)
class ScoredRequests:
    """All there is to say of a batch of requests; ``usable`` (rows,) marks who was scored."""

    asked: Sequence[Asked]
    lineup: "Lineup"
    definitions: "Definitions"
    checked: Checked
    usable: npt.NDArray[np.bool_]
    scores: Scores
    stages: Stages


@dataclass(frozen=True)
class Answered:
    """What became of one request: the rows ``start`` to ``stop`` of a batch, and their explanations by row."""

    asked: Asked
    batch: ScoredRequests
    start: int
    stop: int
    explanations: dict[int, Explanation]
