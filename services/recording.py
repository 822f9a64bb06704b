"""What is done with scores when the callers have them: the challenger in shadow, the prediction log, the metrics."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.prediction_log import Route, ScoredBatch
from services.errors import status_of
from services.logs import log_once
from services.metrics import METRICS
from services.model import Model
from services.outcomes import ScoredRequests, Scores, Stages, merge
from services.predictor import score_by_challenger
from services.scoring import Status

_HOUR_US = 3.6e9


def record(batches: Sequence[ScoredRequests], keep: Callable[[ScoredBatch], None] | None) -> None:
    """Log and count batches of requests, those of the same models and definitions at once.

    ``keep`` takes what goes to the prediction log.
    """
    for batch in batches:
        _record_stages(batch.stages)
    for _, alike in itertools.groupby(batches, lambda batch: (id(batch.lineup), id(batch.definitions))):
        _record(merge(list(alike)), keep)


def _record(scored: ScoredRequests, keep: Callable[[ScoredBatch], None] | None) -> None:
    _record_refusals(scored)
    _record_statuses(scored)
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
    shadow = Scores(np.full(len(usable), np.nan), list(scores.models))
    if score_by_challenger(lineup.challenger, scored.checked, usable, shadow):
        _record_scores(scored, lineup.challenger, "shadow", usable, shadow.probabilities, keep)
        METRICS.challenger_difference.observe_all(
            np.abs(shadow.probabilities - scores.probabilities)[usable], lineup.challenger.contract.model_version
        )


def _record_stages(stages: Stages) -> None:
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
        for status in Status:
            for name, count in zip(names, (statuses == status).sum(axis=0).tolist(), strict=True):
                if count:
                    METRICS.features.add(name, status.name.lower(), amount=count)
    age = scored.checked.features.as_of_us[scored.usable] - scored.checked.newest_us[scored.usable]
    METRICS.feature_age_hours.observe_all(age / _HOUR_US)


def _record_scores(
    scored: ScoredRequests,
    model: Model,
    route: Route,
    rows: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64],
    keep: Callable[[ScoredBatch], None] | None,
) -> None:
    places: Sequence[int] = np.flatnonzero(rows).tolist()
    if not places:
        return
    features, version = scored.checked.features, model.contract.model_version
    METRICS.predictions.add(version, route, amount=len(places))
    METRICS.scores.observe_all(probabilities[rows], version, route)
    if keep is None:
        return
    request_ids = [one.request_id for one in scored.asked for _ in one.customer_ids]
    keep(
        ScoredBatch(
            version=version,
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
    )
