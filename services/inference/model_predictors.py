"""Scoring of request batches by all models that their requests name: a problem of one model fails no other."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from services.errors import ServiceError, http_error
from services.features.input_reader import InputReader
from services.features.version_inputs import ScoringRequest
from services.inference.predictor import BatchReader, Predictor
from services.inference.scored_requests import ModelResults, ScoredRequests, ScoringResult
from services.observability.logs import LOG

if TYPE_CHECKING:
    from services.models.served_models import ServedModels


class ModelPredictors:
    """Scorer of the batches that ``services.inference.micro_batcher`` forms.

    Requests for the same models are read and scored together.

    Args:
        reader: Reader of the inputs.
        models: Function per model that returns its versions in service.
    """

    def __init__(self, reader: InputReader, models: "Mapping[str, Callable[[], ServedModels]]") -> None:
        self._reader = reader
        self._predictors = {name: Predictor(name, reader, find) for name, find in models.items()}
        self._scored: dict[str, list[ScoredRequests]] = {name: [] for name in models}

    def score(self, requests: Sequence[ScoringRequest]) -> list[ModelResults | Exception]:
        """Score a batch of requests.

        Args:
            requests: Requests of the batch.

        Returns:
            Result or error of each model per request, in order; only an error for a request for one model.
        """
        scored: list[tuple[str, ScoredRequests]] = []
        names = requests[0].models
        if all(request.models == names for request in requests):  # usually: all requests are for churn
            results = self._score_alike(names, requests, scored)
        else:
            groups: dict[tuple[str, ...], list[int]] = {}
            for number, request in enumerate(requests):
                groups.setdefault(request.models, []).append(number)
            found: dict[int, ModelResults | Exception] = {}
            for group, numbers in groups.items():
                found |= zip(numbers, self._score_alike(group, [requests[i] for i in numbers], scored), strict=True)
            results = [found[number] for number in range(len(requests))]
        for name, batch in scored:  # only now: after an error the whole batch is scored again
            self._scored[name].append(batch)
        return results

    def take_scored(self) -> list[ScoredRequests]:
        """Take the batches scored since the last call, for :class:`services.inference.recorder.ScoreRecorder`.

        Returns:
            Batches by model, in order.
        """
        taken = [batch for batches in self._scored.values() for batch in batches]
        self._scored = {name: [] for name in self._scored}
        return taken

    def _score_alike(
        self, names: tuple[str, ...], requests: Sequence[ScoringRequest], scored: list[tuple[str, ScoredRequests]]
    ) -> "list[ModelResults | Exception]":
        """Score requests for the same models, and append the scored batches."""
        inputs_of = BatchReader(self._reader, requests)
        if len(names) == 1:  # an unexpected error is raised: the caller halves the batch
            batch, results = self._predictors[names[0]].score(requests, inputs_of)
            scored.append((names[0], batch))
            return [item if isinstance(item, Exception) else {names[0]: item} for item in results]
        columns = [self._score_or_halve(name, requests, inputs_of, scored) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _score_or_halve(
        self,
        name: str,
        requests: Sequence[ScoringRequest],
        inputs_of: BatchReader,
        scored: list[tuple[str, ScoredRequests]],
    ) -> list[ScoringResult | Exception]:
        """Score by one of several models; an unexpected error halves the batch until the request that causes it."""
        try:
            batch, results = self._predictors[name].score(requests, inputs_of)
        except ServiceError as error:
            return [error] * len(requests)
        except Exception:
            if len(requests) == 1:
                LOG.exception("Unexpected error of the model %s, request %s", name, requests[0].request_id)
                return [http_error(500)]
        else:
            scored.append((name, batch))
            return results
        half = len(requests) // 2
        parts = requests[:half], requests[half:]
        return [
            result
            for part in parts
            for result in self._score_or_halve(name, part, BatchReader(self._reader, part), scored)
        ]
