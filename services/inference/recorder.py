"""Recording of scores after the response: challenger in shadow, prediction log, metrics."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from holdfast.core.prediction_log import Route, ScoredBatch
from holdfast.core.types import Bools, Floats
from holdfast.models.loaded_model import LoadedModel
from services.errors import status_of
from services.inference.datatypes import BatchScores, ScoredRequests, merge_batches
from services.inference.feature_checks import InputStatus
from services.inference.predictor import score_by_challenger
from services.observability.logs import LOG, log_once
from services.observability.metrics import METRICS

_HOUR_US = 3.6e9
_MAX_ROWS = 8_000


def record_scores(batches: Sequence[ScoredRequests], append: Callable[[ScoredBatch], None] | None) -> None:
    """Log and count scored requests, those of the same models and definitions together.

    Args:
        batches: Scored requests in order.
        append: Appends to the prediction log; None: no log.
    """
    for group in _same_version_groups(batches):
        try:
            scored = merge_batches(group)
            _record_predictions(scored, append)
            _record_rejections(scored)
            _record_statuses(scored)
        except Exception:  # an error in one group must not lose the others
            rows = sum(int(batch.usable.sum()) for batch in group)
            METRICS.log_dropped.add(amount=rows)
            LOG.exception("%d predictions could not be recorded", rows)
    for batch in batches:
        for name, start, end in batch.stages.intervals():
            METRICS.stage_seconds.observe(end - start, name)


def _same_version_groups(batches: Sequence[ScoredRequests]) -> Iterator[list[ScoredRequests]]:
    """Group consecutive batches of the same models and definitions, up to a number of rows."""
    group: list[ScoredRequests] = []
    rows = 0
    for batch in batches:
        is_other = group and (batch.models is not group[0].models or batch.definitions is not group[0].definitions)
        if is_other or rows >= _MAX_ROWS:
            yield group
            group, rows = [], 0
        group.append(batch)
        rows += len(batch.usable)
    if group:
        yield group


def _record_predictions(scored: ScoredRequests, append: Callable[[ScoredBatch], None] | None) -> None:
    models, usable, scores = scored.models, scored.usable, scored.scores
    if not usable.any():
        return
    is_canary = np.array([model is models.challenger for model in scores.models])
    _record_scores(scored, models.champion, "champion", usable & ~is_canary, scores.probabilities, append)
    if models.challenger is None:
        return
    if models.mode == "canary":
        _record_scores(scored, models.challenger, "canary", usable & is_canary, scores.probabilities, append)
        return
    shadow = BatchScores(np.full(len(usable), np.nan), list(scores.models))
    if score_by_challenger(models.challenger, scored.checked, usable, shadow):
        _record_scores(scored, models.challenger, "shadow", usable, shadow.probabilities, append)
        METRICS.challenger_difference.observe_all(
            np.abs(shadow.probabilities - scores.probabilities)[usable], models.challenger.contract.model_version
        )


def _record_rejections(scored: ScoredRequests) -> None:
    """Count rejections; log a rejection that the client did not cause, once per cause and snapshot."""
    if not scored.checked.rejected:
        return
    caller_chose_time = [request.as_of is not None for request in scored.requests for _ in request.customer_ids]
    for row, rejected in scored.checked.rejected.items():
        METRICS.refusals.add(rejected.reason)
        if rejected.remedy and status_of(rejected.reason, caller_chose_time[row]) >= 500:
            log_once(rejected.remedy, rejected.remedy)


def _record_statuses(scored: ScoredRequests) -> None:
    names, statuses = scored.definitions.input_names, scored.checked.statuses
    if not statuses.any():
        for name in names:
            METRICS.features.add(name, "present", amount=len(statuses))
    else:
        for status in InputStatus:
            for name, count in zip(names, (statuses == status).sum(axis=0).tolist(), strict=True):
                if count:
                    METRICS.features.add(name, status.name.lower(), amount=count)
    age = scored.checked.features.as_of_us[scored.usable] - scored.checked.newest_us[scored.usable]
    METRICS.feature_age_hours.observe_all(age / _HOUR_US)


def _record_scores(
    scored: ScoredRequests,
    model: LoadedModel,
    route: Route,
    rows: Bools,
    probabilities: Floats,
    append: Callable[[ScoredBatch], None] | None,
) -> None:
    positions: Sequence[int] = np.flatnonzero(rows).tolist()
    if not positions:
        return
    version = model.contract.model_version
    if append is not None:
        features = scored.checked.features
        request_ids = [request.request_id for request in scored.requests for _ in request.customer_ids]
        append(
            ScoredBatch(
                version=version,
                route=route,
                answered_at_us=int(scored.stages.scored * 1e6),
                request_ids=[request_ids[position] for position in positions],
                customer_ids=[features.customer_ids[position] for position in positions],
                as_of_us=features.as_of_us[rows],
                input_names=model.contract.inputs,
                inputs=features.inputs[rows],
                views=scored.definitions.reader.views,
                timestamps_us=features.timestamps_us[rows],
                probabilities=probabilities[rows],
                stale=scored.checked.stale[rows],
            )
        )
    METRICS.predictions.add(version, route, amount=len(positions))
    METRICS.scores.observe_all(probabilities[rows], version, route)
