"""Recording of scores after the response: challenger in shadow, prediction log, metrics."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from holdfast.core.prediction_log import Route, ScoredBatch
from holdfast.core.types import Bools, Floats
from holdfast.models.loaded_version import LoadedVersion
from services.errors import status_of
from services.features.feature_checks import InputStatus
from services.features.input_reader import InputReader, ModelRows
from services.features.version_inputs import VersionInputs
from services.inference.challenger import accept_inputs, score_by_challenger
from services.inference.merged_batches import merge_batches
from services.inference.scored_requests import ScoredRequests
from services.observability.logs import LOG, log_once
from services.observability.metrics import METRICS

_HOUR_US = 3.6e9
_MAX_ROWS = 8_000
_MAX_READ_ROWS = 2_000  # as many as a micro-batch: a read of the store has a time limit

Append = Callable[[ScoredBatch], None]


class ScoreRecorder:
    """Recorder of scored requests.

    Args:
        reader: Reader of the inputs of a challenger in shadow on another version of the feature definitions.
        append: Appends to the prediction log; None: no log.
        columns: Name of the prediction by model.
    """

    def __init__(self, reader: InputReader, append: Append | None, columns: Mapping[str, str]) -> None:
        self._reader, self._append, self._columns = reader, append, columns

    def record(self, batches: Sequence[ScoredRequests]) -> None:
        """Log and count scored requests, those of the same models and definitions together.

        Args:
            batches: Scored requests in order.
        """
        for group in _same_version_groups(batches):
            try:
                scored = merge_batches(group)
                self._record_predictions(scored)
                _record_rejections(scored)
                _record_statuses(scored)
            except Exception:  # an error in one group must not lose the others
                rows = sum(int(batch.usable.sum()) for batch in group)
                METRICS.log_dropped.add(amount=rows)
                LOG.exception("%d predictions could not be recorded", rows)
        for batch in batches:
            for name, start, end in batch.stages.intervals():
                METRICS.stage_seconds.observe(end - start, batch.models.model, name)

    def _record_predictions(self, scored: ScoredRequests) -> None:
        models, usable, scores = scored.models, scored.usable, scored.scores
        if not usable.any():
            return
        is_canary = np.array([model is models.challenger for model in scores.models])
        champion_rows = usable & ~is_canary
        self._record_scores(
            scored, models.champion, scored.inputs, "champion", champion_rows, scores.predictions[champion_rows]
        )
        if models.challenger is None:
            return
        if models.mode == "canary":
            rows = usable & is_canary
            inputs = scored.inputs_of(models.challenger)
            self._record_scores(scored, models.challenger, inputs, "canary", rows, scores.predictions[rows])
        else:
            self._record_shadow(scored, models.challenger)

    def _record_shadow(self, scored: ScoredRequests, challenger: LoadedVersion) -> None:
        inputs: VersionInputs | None = scored.inputs
        rows = scored.usable
        if scored.models.has_two_definitions:
            found = self._reader.read_rows(ModelRows(challenger, rows), scored.inputs)
            inputs, rows = accept_inputs(challenger, found, rows)
        if inputs is None or not rows.any():
            return
        predictions = score_by_challenger(challenger, inputs, rows)
        if predictions is not None:
            self._record_scores(scored, challenger, inputs, "shadow", rows, predictions)
            difference = np.abs(predictions - scored.scores.predictions[rows])
            METRICS.challenger_difference.observe_all(difference, challenger.model, challenger.contract.model_version)

    def _record_scores(
        self,
        scored: ScoredRequests,
        model: LoadedVersion,
        inputs: VersionInputs,
        route: Route,
        rows: Bools,
        predictions: Floats,
    ) -> None:
        """Log and count the scores of some rows; ``predictions`` has one value per row of the mask."""
        numbers = np.flatnonzero(rows)
        if not len(numbers):
            return
        version = model.contract.model_version
        if self._append is not None:
            located = inputs.locate(numbers)
            checked, features = inputs.checked, inputs.checked.features
            request_ids = [request.request_id for request in scored.requests for _ in request.customer_ids]
            self._append(
                ScoredBatch(
                    version=version,
                    route=route,
                    answered_at_us=int(scored.stages.scored * 1e6),
                    request_ids=[request_ids[number] for number in numbers.tolist()],
                    customer_ids=[features.customer_ids[position] for position in located.tolist()],
                    as_of_us=features.as_of_us[located],
                    input_names=model.contract.inputs,
                    inputs=features.inputs[located],
                    views=inputs.definitions.reader.views,
                    timestamps_us=features.timestamps_us[located],
                    predictions=predictions,
                    stale=checked.stale[located],
                    definitions=model.definitions,
                    model=model.model,
                    column=self._columns[model.model],
                )
            )
        METRICS.predictions.add(model.model, version, route, amount=len(numbers))
        METRICS.predictions_of(model.contract).observe_all(predictions, model.model, version, route)


def _same_version_groups(batches: Sequence[ScoredRequests]) -> Iterator[list[ScoredRequests]]:
    """Group consecutive batches of the same models and definitions, up to a number of rows."""
    group: list[ScoredRequests] = []
    rows = 0
    for batch in batches:
        limit = _MAX_READ_ROWS if batch.models.has_two_definitions else _MAX_ROWS
        if rows >= limit or any(not _are_mergeable(other, batch) for other in group):
            yield group
            group, rows = [], 0
        group.append(batch)
        rows += len(batch.usable)
    if group:
        yield group


def _are_mergeable(one: ScoredRequests, other: ScoredRequests) -> bool:
    if one.models is not other.models or one.inputs.definitions is not other.inputs.definitions:
        return False
    challengers = one.challenger_inputs, other.challenger_inputs
    return challengers[0] is None or challengers[1] is None or challengers[0].definitions is challengers[1].definitions


def _record_rejections(scored: ScoredRequests) -> None:
    """Count rejections; log a rejection that the client did not cause, once per cause and snapshot."""
    if not scored.inputs.checked.rejected:
        return
    caller_chose_time = [request.as_of is not None for request in scored.requests for _ in request.customer_ids]
    for row, rejected in scored.inputs.checked.rejected.items():
        METRICS.refusals.add(scored.models.model, rejected.reason)
        if rejected.remedy and status_of(rejected.reason, caller_chose_time[row]) >= 500:
            log_once(rejected.remedy, rejected.remedy)


def _record_statuses(scored: ScoredRequests) -> None:
    model = scored.models.model
    names, statuses = scored.inputs.definitions.input_names, scored.inputs.checked.statuses
    if not statuses.any():
        for name in names:
            METRICS.features.add(model, name, "present", amount=len(statuses))
    else:
        for status in InputStatus:
            for name, count in zip(names, (statuses == status).sum(axis=0).tolist(), strict=True):
                if count:
                    METRICS.features.add(model, name, status.name.lower(), amount=count)
    age = (scored.inputs.checked.features.as_of_us - scored.scores.newest_us)[scored.usable]
    METRICS.feature_age_hours.observe_all(age / _HOUR_US, model)
