"""Prediction engine: assembles the versions of all models, features, scoring thread, prediction log and metrics."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

import psutil
from bentoml import Bento

from feature_repo.settings import Settings
from holdfast.core.model_names import CHURN
from services.bentoml_patches import freeze_garbage_collector
from services.declared_models import DeclaredModel, declared_models
from services.errors import NotReadyError, http_error, unknown_model_error
from services.features.feature_client import FeatureClient
from services.features.input_reader import InputReader
from services.features.version_inputs import ScoringRequest
from services.inference.micro_batcher import MicroBatcher
from services.inference.model_predictors import ModelPredictors
from services.inference.recorder import ScoreRecorder
from services.inference.scored_requests import ModelResults, ScoringResult
from services.models.loader import load_saved_model, load_served_model, model_folder
from services.models.model_gauges import update_model_gauges
from services.models.model_trial import TryingRegistry
from services.models.registry_watcher import RegistryWatcher
from services.models.served_models import ServedModels
from services.models.serving_state import ServingState
from services.observability.logs import LOG, log_once, reset_log_once
from services.observability.metric_files import remove_ended_processes, skip_empty_files
from services.observability.metrics import METRICS
from services.observability.tracing import open_spans
from services.prediction_log.writer import PredictionLog
from services.schemas import ModelStatus, ModelStatuses
from services.settings import ServingSettings

_PUBLISH_SECONDS = 1.0
_WARM_UP_CUSTOMER = "warm-up"


class PredictionEngine:
    """Serves predictions until it is closed.

    Args:
        settings: Shared settings.
        serving: Settings of the service.
        bento: The bento that runs; None outside a bento.
    """

    def __init__(self, settings: Settings, serving: ServingSettings, bento: Bento | None) -> None:
        reset_log_once()
        METRICS.clear()
        skip_empty_files()
        self.features = FeatureClient(settings, serving.store_timeout_ms / 1000, serving.last_known)
        self._models = declared_models()
        self._watchers = {
            name: self._create_watcher(model, settings, serving, bento)
            for name, model in self._models.items()
            if not model.problem
        }
        for watcher in self._watchers.values():
            watcher.begin()
        for watcher in self._watchers.values():  # all at the same time
            watcher.wait()
        self.log: PredictionLog | None = None
        if serving.prediction_log:
            self.log = PredictionLog(settings.predictions, keep_days=serving.prediction_log_days)
        reader = InputReader(settings, self.features)
        self._predictor = ModelPredictors(reader, {name: partial(self._served, name) for name in self._models})
        columns = {name: model.column for name, model in self._models.items()}
        self._recorder = ScoreRecorder(reader, self.log.append if self.log is not None else None, columns)
        self._batcher: MicroBatcher[ScoringRequest, ModelResults] = MicroBatcher(
            self._predictor.score, self._record, size=lambda request: len(request.customer_ids)
        )
        self._spans = open_spans()
        self._process = psutil.Process()
        self._closing = threading.Event()
        self._publisher = threading.Thread(target=self._publish, name="metrics", daemon=True)
        self._warm_up()
        self._publisher.start()

    async def score(
        self,
        customer_ids: Sequence[str],
        as_of: datetime | None,
        explain: bool,
        request_id: str,
        models: tuple[str, ...] = (CHURN,),
    ) -> ModelResults:
        """Score the customers of one request.

        Args:
            customer_ids: Customers.
            as_of: Time to predict for; None: now.
            explain: Add explanations.
            request_id: Id of the request in logs.
            models: Models that score.

        Returns:
            Scores and rejected customers by model; the error of a model if there are several.

        Raises:
            ServiceError: The only model cannot score.
        """
        results = await self._batcher.submit(ScoringRequest(customer_ids, as_of, explain, request_id, models))
        if self._spans is not None:
            for result in results.values():
                if isinstance(result, ScoringResult):
                    self._spans.record_stages(result.batch.stages, len(result.batch.usable))
        return results

    def require_ready(self, model: str = CHURN) -> None:
        """Check that a model gives predictions now.

        Args:
            model: Name of the model.

        Raises:
            NotReadyError: No version is loaded, or the features of the champion cannot be read.
        """
        self.features.require_readable(self._served(model).champion.contract)

    def describe_models(self) -> ModelStatuses:
        """Describe the models for ``/models``.

        Returns:
            Name, kind, description, readiness and versions of each model.
        """
        return ModelStatuses(models=[self._describe(model) for model in self._models.values()])

    def describe_ready_model(self, model: str) -> ModelStatus:
        """Describe a model that is ready, for ``/models/NAME/readyz``.

        Args:
            model: Name of the model.

        Returns:
            The same as :meth:`describe_models` for the model.

        Raises:
            ServiceError: There is no such model.
            NotReadyError: The model is not ready.
        """
        if model not in self._models:
            raise unknown_model_error()
        self.require_ready(model)
        return self._describe(self._models[model])

    def close(self) -> None:
        """Finish the waiting requests and write all predictions to the log."""
        for watcher in self._watchers.values():
            watcher.stop()
        self._batcher.close()
        self._closing.set()
        self._publisher.join()
        if self.log is not None:
            self.log.close()
        if self._spans is not None:
            self._spans.close()

    def _create_watcher(
        self, model: DeclaredModel, settings: Settings, serving: ServingSettings, bento: Bento | None
    ) -> RegistryWatcher:
        return RegistryWatcher(
            TryingRegistry(serving, settings.mlflow_tracking_uri, model.registered_name),
            lambda: load_saved_model(model_folder(bento, model.registered_name), model.kind),
            self.features.require,
            partial(self.features.retain, model.registered_name),
            poll_seconds=serving.registry_poll_seconds,
            start_timeout=serving.registry_start_seconds,
            load=partial(load_served_model, kind=model.kind),
            model=model.name,
        )

    def _served(self, model: str) -> ServedModels:
        if problem := self._models[model].problem:
            raise NotReadyError(f"The declaration of the model {model} cannot be used.", problem)
        return self._watchers[model].models

    def _describe(self, model: DeclaredModel) -> ModelStatus:
        state = self._watchers[model.name].state if model.name in self._watchers else ServingState()
        problem = self._readiness_problem(model.name)
        return ModelStatus(
            name=model.name,
            kind=model.kind,
            description=model.description,
            ready=problem is None,
            problem=problem,
            champion=state.champion,
            challenger=state.challenger,
            mode=state.mode,
        )

    def _readiness_problem(self, model: str) -> str | None:
        try:
            self.require_ready(model)
        except NotReadyError as error:
            return error.message
        except Exception as error:
            log_once(repr(error), f"Not ready because of an unexpected error: {error!r}")
            return http_error(500).message
        return None

    def _record(self) -> None:
        self._recorder.record(self._predictor.take_scored())

    def _warm_up(self) -> None:
        """Score once, so that the first request is as fast as the others."""
        for name in self._models:
            with suppress(NotReadyError):  # logged by the feature client; checked again at the next request
                self._predictor.score([ScoringRequest([_WARM_UP_CUSTOMER], None, False, _WARM_UP_CUSTOMER, (name,))])
        self._predictor.take_scored()
        freeze_garbage_collector()

    def _publish(self) -> None:
        """Publish metrics each second, and once more when the engine closes."""
        last, first = False, True
        while True:
            try:
                if first:
                    first = False
                    remove_ended_processes()
                self._update_gauges()
                METRICS.publish()
            except Exception:
                LOG.exception("Metrics could not be published")
            if last:
                return
            last = self._closing.wait(_PUBLISH_SECONDS)

    def _update_gauges(self) -> None:
        for name in self._models:
            is_ready = self._readiness_problem(name) is None
            METRICS.model_ready.set(is_ready, name)
            if name == CHURN:
                METRICS.ready.set(is_ready)
        update_model_gauges({name: watcher.state for name, watcher in self._watchers.items()})
        self._update_feature_gauges()
        METRICS.memory.set(self._process.memory_info().rss)
        if self.log is not None:
            METRICS.log_queue.set(self.log.queued_rows)
            METRICS.log_written.set_total(self.log.written_rows)
            METRICS.log_dropped.set_total(self.log.dropped_rows)
            METRICS.log_degraded.set(self.log.degraded is not None)

    def _update_feature_gauges(self) -> None:
        METRICS.materialized_to.clear()
        METRICS.breaker_open.clear()
        for version, store in self.features.stores().items():
            METRICS.breaker_open.set(store.is_breaker_open, version)
            if store.materialized_to is not None:
                METRICS.materialized_to.set(store.materialized_to, version)
