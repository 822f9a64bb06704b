"""Scoring of request batches by one model: one call of each of its versions per batch."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from holdfast.core.types import Bools
from holdfast.models.loaded_model import LoadedModel
from services.errors import NoReasonsError
from services.features.input_reader import InputReader, ModelRows
from services.features.version_inputs import ScoringRequest, VersionInputs
from services.inference.challenger import accept_inputs, score, score_by_challenger
from services.inference.explanations import explain
from services.inference.scored_requests import BatchScores, ScoredRequests, ScoringResult, active_rows, new_scores
from services.observability.logs import log_once
from services.observability.stage_times import StageTimes
from services.schemas import Explanation

if TYPE_CHECKING:
    from holdfast.models.loaded_version import LoadedVersion
    from services.models.served_models import ServedModels


class BatchReader:
    """Reader of the inputs of a batch: once for all models that read the same version of the feature definitions.

    Args:
        reader: Reader of inputs.
        requests: Requests of the batch.
    """

    def __init__(self, reader: InputReader, requests: Sequence[ScoringRequest]) -> None:
        self._reader, self._requests = reader, requests
        self._read: list[tuple[str, VersionInputs]] = []

    def read(
        self, champion: "LoadedVersion", stages: StageTimes, others: Sequence[ModelRows] = ()
    ) -> tuple[VersionInputs, list[VersionInputs | Exception]]:
        """Read the inputs of a champion, at the times of the first read, and of some rows for other versions.

        Args:
            champion: Champion of one of the models.
            stages: Times of the stages; the end of the read is set.
            others: As of :meth:`InputReader.read_requests`.

        Returns:
            As of :meth:`InputReader.read_requests`.

        Raises:
            NotReadyError: The features of the champion cannot be read; the problem is logged.
        """
        for definitions, inputs in self._read:
            if definitions == champion.definitions and self._reader.is_shared(champion, inputs):
                stages.fetched = stages.started
                return inputs, [self._reader.read_rows(other, inputs) for other in others]
        as_of = self._read[0][1].checked.features.as_of_us if self._read else None
        inputs, found = self._reader.read_requests(champion, self._requests, stages, others, as_of)
        self._read.append((champion.definitions, inputs))
        return inputs, found


class Predictor:
    """Scorer of batches by the versions of one model.

    Args:
        name: Name of the model.
        reader: Reader of the inputs.
        models: Returns the versions in service.
    """

    def __init__(self, name: str, reader: InputReader, models: "Callable[[], ServedModels]") -> None:
        self._name, self._reader, self._models = name, reader, models

    def score(
        self, requests: Sequence[ScoringRequest], inputs_of: BatchReader
    ) -> tuple[ScoredRequests, list[ScoringResult | Exception]]:
        """Score a batch of requests.

        Args:
            requests: Requests of the batch.
            inputs_of: Reader of the inputs of these requests.

        Returns:
            The scored batch, and one result or error per request, in order.

        Raises:
            NotReadyError: No request can be scored.
        """
        models = self._models()  # once: the same models score the whole batch
        stages = StageTimes()
        canary = _canary_rows(models, requests)
        own = models.challenger if canary is not None and models.has_two_definitions else None
        others = [ModelRows(own, canary)] if own is not None and canary is not None else []
        inputs, found = inputs_of.read(models.champion, stages, others)
        usable = np.ones(len(inputs.checked.newest_us), dtype=bool)
        if inputs.checked.rejected:
            usable[list(inputs.checked.rejected)] = False
        challenger_inputs = None
        if canary is not None:
            canary &= usable
            if own is not None:
                challenger_inputs, canary = accept_inputs(own, found[0], canary)
        stages.transformed = time.time()
        scores = new_scores(models.champion, inputs, copy=challenger_inputs is not None)
        batch = ScoredRequests(requests, models, inputs, challenger_inputs, usable, scores, stages)
        _score(batch, canary)
        stages.scored = time.time()
        results: list[ScoringResult | Exception] = []
        start = 0
        for request in requests:
            stop = start + len(request.customer_ids)
            results.append(result := self._result(batch, request, start, stop))
            if isinstance(result, Exception):
                usable[start:stop] = False  # these scores are not sent, so these are not predictions
            start = stop
        return batch, results

    def _result(
        self, batch: ScoredRequests, request: ScoringRequest, start: int, stop: int
    ) -> ScoringResult | Exception:
        explanations: dict[int, Explanation] = {}
        if request.explain and request.models[0] == self._name:
            rows = [row for row in range(start, stop) if batch.usable[row]]
            try:
                explanations = _explanations(batch, rows)
            except NoReasonsError as error:
                log_once(error.message, error.remedy)  # the remedy names the first row that failed
                return error
            except Exception as error:  # only this request fails; the other requests of the batch have results
                return error
        return ScoringResult(request, batch, start, stop, explanations)


def _canary_rows(models: "ServedModels", requests: Sequence[ScoringRequest]) -> Bools | None:
    """Return the mask of the rows that the challenger scores; None: no row."""
    if models.mode != "canary":
        return None
    routed = [models.routes_to_canary(customer) for request in requests for customer in request.customer_ids]
    return np.array(routed) if True in routed else None


def _score(batch: ScoredRequests, canary: Bools | None) -> None:
    models, scores = batch.models, batch.scores
    rest = batch.usable
    if canary is not None and models.challenger is not None and canary.any():
        inputs = batch.inputs_of(models.challenger)
        predictions = score_by_challenger(models.challenger, inputs, canary)
        if predictions is not None:
            scores.predictions[canary] = predictions
            _replace_properties(models.challenger, inputs, canary, scores)
            rest = rest & ~canary
    if rest.any():
        scores.predictions[rest] = score(models.champion, batch.inputs, rest)
    if models.champion.has_unknown_rows:
        batch.usable[np.isnan(scores.predictions)] = False  # also rows that are not usable already


def _replace_properties(challenger: "LoadedVersion", inputs: VersionInputs, rows: Bools, scores: BatchScores) -> None:
    numbers = np.flatnonzero(rows)
    located = inputs.locate(numbers)
    for row in numbers.tolist():
        scores.models[row] = challenger
    scores.active[rows] = active_rows(challenger, inputs)[located]
    if inputs.positions is not None:
        scores.newest_us[rows] = inputs.checked.newest_us[located]
        scores.stale[rows] = inputs.checked.stale[located]


def _explanations(batch: ScoredRequests, rows: Sequence[int]) -> dict[int, Explanation]:
    explanations: dict[int, Explanation] = {}
    models = batch.scores.models
    for model in {id(models[row]): models[row] for row in rows}.values():
        own_rows = [row for row in rows if models[row] is model]
        inputs = batch.inputs_of(model)
        assert isinstance(model, LoadedModel)  # no other kind is asked for explanations
        matrix = inputs.checked.features.inputs[inputs.locate(np.array(own_rows))]
        explanations |= dict(zip(own_rows, explain(model, matrix), strict=True))
    return explanations
