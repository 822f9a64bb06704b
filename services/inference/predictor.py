"""From requests to predictions: one read of the store, one check, one call of each model for all that came together."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc, epoch_us
from holdfast.core.types import Bools, Floats
from holdfast.models.contract import ServedModel
from holdfast.models.contributions import NotAdditiveError
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.reason_codes import select_reasons
from services.errors import NoReasonsError
from services.inference.datatypes import BatchScores, ScoredRequests, ScoringRequest, ScoringResult
from services.inference.feature_checks import CheckedInputs, check
from services.inference.feature_client import FeatureClient
from services.observability.logs import LOG, log_once
from services.observability.metrics import METRICS
from services.observability.tracing import StageTimes
from services.schemas import Explanation, Reason

if TYPE_CHECKING:
    from holdfast.online_features.reader import OnlineFeatures
    from services.inference.feature_definitions import FeatureDefinitions
    from services.models.served_models import ServedModels


class Predictor:
    """Answers batches of requests; see ``services.inference.micro_batcher`` for where they come from.

    Args:
        lineup: The models to score with, now.
    """

    def __init__(
        self,
        settings: Settings,
        features: FeatureClient,
        lineup: "Callable[[], ServedModels]",
    ) -> None:
        self._settings = settings
        self._features = features
        self._lineup = lineup
        self._scored: list[ScoredRequests] = []

    def answer(self, asked: Sequence[ScoringRequest]) -> list[ScoringResult | Exception]:
        """One answer or error per request.

        Raises:
            NotReadyError: Nobody can be answered.
        """
        lineup = self._lineup()  # once: all of a batch is scored by the same models
        stages = StageTimes()
        definitions, features, unknown = self._read(lineup.champion.contract, asked, stages)
        checked = check(features, definitions, lineup.champion.contract.activity_days, unknown)
        stages.transformed = time.time()
        usable = np.ones(len(features.customer_ids), dtype=bool)
        if checked.refused:
            usable[list(checked.refused)] = False
        scores = BatchScores(np.full(len(usable), np.nan), [lineup.champion] * len(usable))
        self._score(lineup, checked, usable, scores)
        stages.scored = time.time()
        batch = ScoredRequests(asked, lineup, definitions, checked, usable, scores, stages)
        answers: list[ScoringResult | Exception] = []
        start = 0
        for one in asked:
            stop = start + len(one.customer_ids)
            answers.append(answer := _answered(batch, one, start, stop))
            if isinstance(answer, Exception):
                usable[start:stop] = False  # nobody is told these scores: they are no predictions
            start = stop
        self._scored.append(batch)
        return answers

    def taken(self) -> list[ScoredRequests]:
        """What was answered since the last call, for :func:`services.inference.recorder.record`."""
        scored, self._scored = self._scored, []
        return scored

    def _read(
        self, contract: ServedModel, asked: Sequence[ScoringRequest], stages: StageTimes
    ) -> "tuple[FeatureDefinitions, OnlineFeatures, Bools | None]":
        ids = [customer for one in asked for customer in one.customer_ids]
        now = self._now()
        refreshed = False
        while True:
            definitions = self._features.definitions(contract)
            default = now or definitions.materialised_to
            as_of = np.array([epoch_us(one.as_of or default) for one in asked], dtype=np.int64)
            if len(ids) > len(asked):
                as_of = np.repeat(as_of, [len(one.customer_ids) for one in asked])
            fetched = self._features.fetch(definitions, contract, ids)
            stages.fetched = time.time()
            features = definitions.reader.decode(ids, fetched.raw, as_of)
            if not refreshed and now is None and self._is_behind(definitions, features):
                self._features.refresh()
                refreshed = True
            elif self._features.is_current(definitions):
                return definitions, features, fetched.unknown

    @staticmethod
    def _is_behind(definitions: "FeatureDefinitions", features: "OnlineFeatures") -> bool:
        """In replay: whether the store is ahead of the registry as Feast remembers it."""
        return bool((features.timestamps_us > definitions.materialised_to_us).any())

    def _score(self, lineup: "ServedModels", checked: CheckedInputs, usable: Bools, scores: BatchScores) -> None:
        if lineup.mode is None and usable.all():
            scores.probabilities[:] = _probabilities(lineup.champion, checked.features.inputs)
            return
        champion = usable.copy()
        if lineup.challenger is not None and lineup.mode == "canary":
            ids = checked.features.customer_ids
            canary = np.array([bool(may) and lineup.canary(ids[row]) for row, may in enumerate(usable)])
            if canary.any() and score_by_challenger(lineup.challenger, checked, canary, scores):
                champion &= ~canary
        if champion.any():
            scores.probabilities[champion] = _probabilities(lineup.champion, checked.features.inputs[champion])

    def _now(self) -> datetime | None:
        """The time of a request that names none; None in replay, which is at the time of the stored features."""
        clock = self._settings.clock
        if isinstance(clock, datetime):
            return as_utc(clock)
        return datetime.now(UTC) if clock == "wall" else None


def _answered(batch: ScoredRequests, one: ScoringRequest, start: int, stop: int) -> ScoringResult | Exception:
    explanations: dict[int, Explanation] = {}
    if one.explain:
        rows = [row for row in range(start, stop) if batch.usable[row]]
        try:
            explanations = _explanations(batch.checked, rows, batch.scores)
        except NoReasonsError as error:
            log_once(error.message, error.remedy)  # the remedy names the row that failed first
            return error
        except Exception as error:  # of this request alone: the others of the batch have their answers
            return error
    return ScoringResult(one, batch, start, stop, explanations)


def _probabilities(model: LoadedModel, inputs: Floats) -> Floats:
    probabilities = model.churn_probabilities(inputs)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # NaN is neither
        raise ValueError(f"Model version {model.contract.model_version} gave what is no probability.")
    return probabilities


def score_by_challenger(challenger: LoadedModel, checked: CheckedInputs, rows: Bools, scores: BatchScores) -> bool:
    """Score ``rows`` with the challenger. If it fails the champion answers: a challenger is not trusted yet."""
    try:
        scores.probabilities[rows] = _probabilities(challenger, checked.features.inputs[rows])
    except Exception:
        METRICS.challenger_failures.add(challenger.contract.model_version)
        LOG.exception("The challenger, version %s, failed; the champion answers", challenger.contract.model_version)
        return False
    for row in np.flatnonzero(rows).tolist():
        scores.models[row] = challenger
    return True


def _explanations(checked: CheckedInputs, rows: Sequence[int], scores: BatchScores) -> dict[int, Explanation]:
    explanations: dict[int, Explanation] = {}
    for model in {id(scores.models[row]): scores.models[row] for row in rows}.values():
        its = [row for row in rows if scores.models[row] is model]
        explanations |= dict(zip(its, explain(model, checked.features.inputs[its]), strict=True))
    return explanations


def explain(model: LoadedModel, matrix: Floats) -> list[Explanation]:
    """One explanation per row of ``matrix`` (rows, inputs), in its order.

    Raises:
        NoReasonsError: The model's score is no sum over its inputs.
    """
    try:
        parts = model.contributions(matrix)
    except NotAdditiveError as error:
        version = model.contract.model_version
        raise NoReasonsError(version, f"Model version {version} cannot be explained. {error}") from error
    names = model.contract.inputs
    return [
        Explanation(
            typical_log_odds=parts.base,
            log_odds=log_odds,
            contributions=dict(zip(names, values, strict=True)),
            reasons=[
                Reason(text=reason.text, effect=reason.effect, direction=reason.direction, inputs=list(reason.inputs))
                for reason in select_reasons(names, row, values)
            ],
        )
        for row, log_odds, values in zip(matrix.tolist(), parts.log_odds.tolist(), parts.values.tolist(), strict=True)
    ]
