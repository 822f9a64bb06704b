"""Scoring of request batches: one read of the store, one check and one call of each model per batch."""

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
from services.inference.feature_checks import CheckedInputs, check_inputs
from services.inference.feature_client import FeatureClient
from services.observability.logs import LOG, log_once
from services.observability.metrics import METRICS
from services.observability.stage_times import StageTimes
from services.schemas import Explanation, Reason

if TYPE_CHECKING:
    from holdfast.online_features.reader import OnlineFeatures
    from services.inference.feature_definitions import FeatureDefinitions
    from services.models.served_models import ServedModels


class Predictor:
    """Scorer of the batches that ``services.inference.micro_batcher`` forms.

    Args:
        settings: Shared settings.
        features: Client of the feature store.
        models: Returns the models in service.
    """

    def __init__(
        self,
        settings: Settings,
        features: FeatureClient,
        models: "Callable[[], ServedModels]",
    ) -> None:
        self._settings = settings
        self._features = features
        self._models = models
        self._scored: list[ScoredRequests] = []

    def score(self, requests: Sequence[ScoringRequest]) -> list[ScoringResult | Exception]:
        """Score a batch of requests.

        Args:
            requests: Requests of the batch.

        Returns:
            One result or error per request, in order.

        Raises:
            NotReadyError: No request can be scored.
        """
        models = self._models()  # once: the same models score the whole batch
        stages = StageTimes()
        definitions, features, unknown = self._read(models.champion.contract, requests, stages)
        checked = check_inputs(features, definitions, models.champion.contract.activity_days, unknown)
        stages.transformed = time.time()
        usable = np.ones(len(features.customer_ids), dtype=bool)
        if checked.rejected:
            usable[list(checked.rejected)] = False
        scores = BatchScores(np.full(len(usable), np.nan), [models.champion] * len(usable))
        self._score(models, checked, usable, scores)
        stages.scored = time.time()
        batch = ScoredRequests(requests, models, definitions, checked, usable, scores, stages)
        results: list[ScoringResult | Exception] = []
        start = 0
        for request in requests:
            stop = start + len(request.customer_ids)
            results.append(result := _result(batch, request, start, stop))
            if isinstance(result, Exception):
                usable[start:stop] = False  # these scores are not sent, so these are not predictions
            start = stop
        self._scored.append(batch)
        return results

    def take_scored(self) -> list[ScoredRequests]:
        """Take the batches scored since the last call, for :func:`services.inference.recorder.record_scores`.

        Returns:
            Batches in order.
        """
        scored, self._scored = self._scored, []
        return scored

    def _read(
        self, contract: ServedModel, requests: Sequence[ScoringRequest], stages: StageTimes
    ) -> "tuple[FeatureDefinitions, OnlineFeatures, Bools | None]":
        ids = [customer for request in requests for customer in request.customer_ids]
        now = self._now()
        refreshed = False
        while True:
            definitions = self._features.definitions(contract)
            default = now or definitions.materialized_to
            as_of = np.array([epoch_us(request.as_of or default) for request in requests], dtype=np.int64)
            if len(ids) > len(requests):
                as_of = np.repeat(as_of, [len(request.customer_ids) for request in requests])
            raw, unknown = self._features.fetch(definitions, contract, ids)
            stages.fetched = time.time()
            features = definitions.reader.decode(ids, raw, as_of)
            if not refreshed and now is None and (features.timestamps_us > definitions.materialized_to_us).any():
                # in replay, the store is ahead of the registry that Feast has cached
                self._features.refresh()
                refreshed = True
            elif self._features.is_current(definitions):
                return definitions, features, unknown

    def _score(self, models: "ServedModels", checked: CheckedInputs, usable: Bools, scores: BatchScores) -> None:
        if models.mode is None and usable.all():
            scores.probabilities[:] = _probabilities(models.champion, checked.features.inputs)
            return
        champion = usable.copy()
        if models.challenger is not None and models.mode == "canary":
            ids = checked.features.customer_ids
            canary = np.array(
                [bool(is_usable) and models.routes_to_canary(ids[row]) for row, is_usable in enumerate(usable)]
            )
            if canary.any() and score_by_challenger(models.challenger, checked, canary, scores):
                champion &= ~canary
        if champion.any():
            scores.probabilities[champion] = _probabilities(models.champion, checked.features.inputs[champion])

    def _now(self) -> datetime | None:
        """Return the default as_of of a request; None in replay, where it is the time of the stored features."""
        clock = self._settings.clock
        if isinstance(clock, datetime):
            return as_utc(clock)
        return datetime.now(UTC) if clock == "wall" else None


def _result(batch: ScoredRequests, request: ScoringRequest, start: int, stop: int) -> ScoringResult | Exception:
    explanations: dict[int, Explanation] = {}
    if request.explain:
        rows = [row for row in range(start, stop) if batch.usable[row]]
        try:
            explanations = _explanations(batch.checked, rows, batch.scores)
        except NoReasonsError as error:
            log_once(error.message, error.remedy)  # the remedy names the first row that failed
            return error
        except Exception as error:  # only this request fails; the other requests of the batch have results
            return error
    return ScoringResult(request, batch, start, stop, explanations)


def _probabilities(model: LoadedModel, inputs: Floats) -> Floats:
    probabilities = model.churn_probabilities(inputs)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # NaN is neither
        raise ValueError(f"Model version {model.contract.model_version} returned a value that is not a probability.")
    return probabilities


def score_by_challenger(challenger: LoadedModel, checked: CheckedInputs, rows: Bools, scores: BatchScores) -> bool:
    """Score rows with the challenger; an error is logged, and the champion then scores instead.

    Args:
        challenger: Challenger.
        checked: Checked inputs of n customers.
        rows: Mask of the rows to score, shape (n,).
        scores: Scores, changed in place.

    Returns:
        True if the challenger has scored the rows.
    """
    try:
        scores.probabilities[rows] = _probabilities(challenger, checked.features.inputs[rows])
    except Exception:
        METRICS.challenger_failures.add(challenger.contract.model_version)
        LOG.exception("Challenger version %s failed; the champion scores instead", challenger.contract.model_version)
        return False
    for row in np.flatnonzero(rows).tolist():
        scores.models[row] = challenger
    return True


def _explanations(checked: CheckedInputs, rows: Sequence[int], scores: BatchScores) -> dict[int, Explanation]:
    explanations: dict[int, Explanation] = {}
    for model in {id(scores.models[row]): scores.models[row] for row in rows}.values():
        own_rows = [row for row in rows if scores.models[row] is model]
        explanations |= dict(zip(own_rows, explain(model, checked.features.inputs[own_rows]), strict=True))
    return explanations


def explain(model: LoadedModel, matrix: Floats) -> list[Explanation]:
    """Explain scores.

    Args:
        model: Model.
        matrix: Model inputs, shape (n, inputs).

    Returns:
        One explanation per row.

    Raises:
        NoReasonsError: The model's log-odds are not a sum over its inputs.
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
                for reason in select_reasons(names, row, values, categories=model.contract.categories)
            ],
        )
        for row, log_odds, values in zip(matrix.tolist(), parts.log_odds.tolist(), parts.values.tolist(), strict=True)
    ]
