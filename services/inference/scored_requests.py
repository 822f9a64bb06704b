"""Scores and results of requests that were scored together, for API, predictor and recorder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.core.types import Bools, Floats, Ints
from holdfast.models.loaded_version import LoadedVersion
from services.features.version_inputs import ScoringRequest, VersionInputs
from services.observability.stage_times import StageTimes
from services.schemas import Explanation

if TYPE_CHECKING:
    from services.models.served_models import ServedModels


@dataclass(frozen=True)
class BatchScores:
    """Score of each row, and properties of the inputs that its model received.

    Attributes:
        predictions: Churn probability or expected value; NaN: not scored, or the model has no prediction.
        models: Scoring model.
        newest_us: As in ``CheckedInputs``.
        stale: As in ``CheckedInputs``.
        active: As in ``Prediction``.
    """

    predictions: Floats
    models: list[LoadedVersion]
    newest_us: Ints
    stale: Bools
    active: Bools


@dataclass(frozen=True)
class ScoredRequests:
    """Requests that were scored together; a row is one customer of one request, in order.

    Attributes:
        requests: The requests.
        models: Models in service.
        inputs: Inputs under the champion's version of the feature definitions, with the rejected customers.
        challenger_inputs: Inputs of the rows that were read under another version for the challenger; None: no row.
        usable: Rows that were scored.
        scores: Scores.
        stages: Times of the stages.
    """

    requests: Sequence[ScoringRequest]
    models: "ServedModels"
    inputs: VersionInputs
    challenger_inputs: VersionInputs | None
    usable: Bools
    scores: BatchScores
    stages: StageTimes

    def inputs_of(self, model: LoadedVersion) -> VersionInputs:
        """Return the inputs under the version that a model reads.

        Args:
            model: Model that has scored a row.

        Returns:
            Inputs of the model's rows.
        """
        is_challenger = self.challenger_inputs is not None and model is self.models.challenger
        return self.challenger_inputs if self.challenger_inputs is not None and is_challenger else self.inputs


@dataclass(frozen=True)
class ScoringResult:
    """Result of one request for one model.

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


# Result or error of one request by model.
ModelResults = dict[str, ScoringResult | Exception]


def new_scores(champion: LoadedVersion, inputs: VersionInputs, copy: bool) -> BatchScores:
    """Create the scores of a batch before any model has scored.

    Args:
        champion: Champion.
        inputs: Inputs of the champion.
        copy: Another model may replace properties of a row; otherwise these are those of ``inputs``.

    Returns:
        Scores without predictions.
    """
    checked = inputs.checked
    rows = len(checked.newest_us)
    return BatchScores(
        predictions=np.full(rows, np.nan),
        models=[champion] * rows,
        newest_us=checked.newest_us.copy() if copy else checked.newest_us,
        stale=checked.stale.copy() if copy else checked.stale,
        active=active_rows(champion, inputs),
    )


def active_rows(model: LoadedVersion, inputs: VersionInputs) -> Bools:
    """Decide which customers are active, by the rule of a model.

    Args:
        model: Model.
        inputs: Inputs of the model.

    Returns:
        Mask of the rows of ``inputs.checked``.
    """
    column = inputs.definitions.input_names.index(model.activity.feature)
    return model.activity.mask(inputs.checked.features.inputs[:, column])
