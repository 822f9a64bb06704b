"""What is done with scores when the callers have them: the challenger in shadow, the prediction log, the metrics."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from holdfast.core.prediction_log import Route, ScoredBatch
from holdfast.core.types import Bools, Floats
from holdfast.models.loaded_model import LoadedModel
from services.errors import status_of
from services.inference.datatypes import BatchScores, ScoredRequests, merge
from services.inference.feature_checks import InputStatus
from services.inference.predictor import score_by_challenger
from services.observability.logs import LOG, log_once
from services.observability.metrics import METRICS
from services.observability.tracing import StageTimes

_HOUR_US = 3.6e9
_MOST_ROWS = 8_000


def record(batches: Sequence[ScoredRequests], keep: Callable[[ScoredBatch], None] | None) -> None:
    """Log and count batches of requests, those of the same models and definitions at once.

    ``keep`` takes what goes to the prediction log.
    """
    for alike in _alike(batches):
        try:
            _record(merge(alike), keep)
        except Exception:  # what is wrong with some must not lose the others
            rows = sum(int(batch.usable.sum()) for batch in alike)
            METRICS.log_dropped.add(amount=rows)
            LOG.exception("%d predictions could not be recorded", rows)
    for batch in batches:
        _record_stages(batch.stages)


def _alike(batches: Sequence[ScoredRequests]) -> Iterator[list[ScoredRequests]]:
    """Neighbours of the same models and definitions, together up to a number of rows that is quickly written."""
    found: list[ScoredRequests] = []
    rows = 0
    for batch in batches:
        is_other = found and (batch.lineup is not found[0].lineup or batch.definitions is not found[0].definitions)
        if is_other or rows >= _MOST_ROWS:
            yield found
            found, rows = [], 0
        found.append(batch)
        rows += len(batch.usable)
    if found:
        yield found


def _record(scored: ScoredRequests, keep: Callable[[ScoredBatch], None] | None) -> None:
    _record_predictions(scored, keep)
    _record_refusals(scored)
    _record_statuses(scored)


def _record_predictions(scored: ScoredRequests, keep: Callable[[ScoredBatch], None] | None) -> None:
    lineup, usable, scores = scored.lineup, scored.usable, scored.scores
    if not usable.any():
        return
    is_canary = np.array([model is lineup.challenger for model in scores.models])
    _record_scores(scored, lineup.champion, "champion", usable & ~is_canary, scores.probabilities, keep)
    if lineup.challenger is None:
        return
    if lineup.mode == "canary":
        _record_scores(scored, lineup.challenger, "canary", usable & is_canary, scores.probabilities, keep)
        return
    shadow = BatchScores(np.full(len(usable), np.nan), list(scores.models))
    if score_by_challenger(lineup.challenger, scored.checked, usable, shadow):
        _record_scores(scored, lineup.challenger, "shadow", usable, shadow.probabilities, keep)
        METRICS.challenger_difference.observe_all(
            np.abs(shadow.probabilities - scores.probabilities)[usable], lineup.challenger.contract.model_version
        )


def _record_stages(stages: StageTimes) -> None:
    METRICS.stage_seconds.observe(stages.fetched - stages.began, "store")
    METRICS.stage_seconds.observe(stages.transformed - stages.fetched, "transform")
    METRICS.stage_seconds.observe(stages.scored - stages.transformed, "model")


def _record_refusals(scored: ScoredRequests) -> None:
    """What callers are not to blame for goes to the log, once per cause and snapshot."""
    if not scored.checked.refused:
        return
    caller_chose_time = [one.as_of is not None for one in scored.asked for _ in one.customer_ids]
    for row, refused in scored.checked.refused.items():
        METRICS.refusals.add(refused.reason)
        if refused.remedy and status_of(refused.reason, caller_chose_time[row]) >= 500:
            log_once(refused.remedy, refused.remedy)


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
    keep: Callable[[ScoredBatch], None] | None,
) -> None:
    places: Sequence[int] = np.flatnonzero(rows).tolist()
    if not places:
        return
    version = model.contract.model_version
    if keep is not None:
        keep(_logged(scored, model, route, rows, places, probabilities))
    METRICS.predictions.add(version, route, amount=len(places))
    METRICS.scores.observe_all(probabilities[rows], version, route)


def _logged(
    scored: ScoredRequests,
    model: LoadedModel,
    route: Route,
    rows: Bools,
    places: Sequence[int],
    probabilities: Floats,
) -> ScoredBatch:
    features = scored.checked.features
    request_ids = [one.request_id for one in scored.asked for _ in one.customer_ids]
    return ScoredBatch(
        version=model.contract.model_version,
        route=route,
        answered_at_us=int(scored.stages.scored * 1e6),
        request_ids=[request_ids[place] for place in places],
        customer_ids=[features.customer_ids[place] for place in places],
        as_of_us=features.as_of_us[rows],
        input_names=model.contract.inputs,
        inputs=features.inputs[rows],
        views=scored.definitions.reader.views,
        timestamps_us=features.timestamps_us[rows],
        probabilities=probabilities[rows],
        stale=scored.checked.stale[rows],
    )
