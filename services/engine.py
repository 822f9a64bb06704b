"""Prediction engine: assembles models, features, scoring thread, prediction log and metrics."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import psutil
from bentoml import Bento

from feature_repo.settings import Settings
from holdfast.models.registry_client import RegistryClient
from services.bentoml_patches import freeze_garbage_collector
from services.errors import NotReadyError
from services.inference.datatypes import ScoringRequest, ScoringResult
from services.inference.feature_client import FeatureClient
from services.inference.input_reader import InputReader
from services.inference.micro_batcher import MicroBatcher
from services.inference.predictor import Predictor
from services.inference.recorder import ScoreRecorder
from services.models.loader import load_saved_model, model_folder
from services.models.registry_watcher import RegistryWatcher
from services.observability.logs import LOG, log_once, reset_log_once
from services.observability.metric_files import remove_ended_processes, skip_empty_files
from services.observability.metrics import METRICS
from services.observability.tracing import open_spans
from services.prediction_log.writer import PredictionLog
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
        self.watcher = RegistryWatcher(
            RegistryClient(settings.mlflow_tracking_uri),
            lambda: load_saved_model(model_folder(bento)),
            self.features.require,
            self.features.retain,
            poll_seconds=serving.registry_poll_seconds,
            start_timeout=serving.registry_start_seconds,
        )
        self.watcher.start()
        self.log: PredictionLog | None = None
        if serving.prediction_log:
            self.log = PredictionLog(settings.predictions, keep_days=serving.prediction_log_days)
        reader = InputReader(settings, self.features)
        self._predictor = Predictor(reader, lambda: self.watcher.models)
        self._recorder = ScoreRecorder(reader, self.log.append if self.log is not None else None)
        self._batcher: MicroBatcher[ScoringRequest, ScoringResult] = MicroBatcher(
            self._predictor.score, self._record, size=lambda request: len(request.customer_ids)
        )
        self._spans = open_spans()
        self._process = psutil.Process()
        self._closing = threading.Event()
        self._publisher = threading.Thread(target=self._publish, name="metrics", daemon=True)
        self._warm_up()
        self._publisher.start()

    async def score(
        self, customer_ids: Sequence[str], as_of: datetime | None, explain: bool, request_id: str
    ) -> ScoringResult:
        """Score the customers of one request.

        Args:
            customer_ids: Customers.
            as_of: Time to predict for; None: now.
            explain: Add explanations.
            request_id: Id of the request in logs.

        Returns:
            Scores and rejected customers.

        Raises:
            ServiceError: No customer can be scored.
        """
        result = await self._batcher.submit(ScoringRequest(customer_ids, as_of, explain, request_id))
        if self._spans is not None:
            self._spans.record_stages(result.batch.stages, len(result.batch.usable))
        return result

    def require_ready(self) -> None:
        """Check that predictions are served now.

        Raises:
            NotReadyError: No model is loaded, or the features of the champion cannot be read.
        """
        self.features.require_readable(self.watcher.models.champion.contract)

    def close(self) -> None:
        """Finish the waiting requests and write all predictions to the log."""
        self.watcher.stop()
        self._batcher.close()
        self._closing.set()
        self._publisher.join()
        if self.log is not None:
            self.log.close()
        if self._spans is not None:
            self._spans.close()

    def _record(self) -> None:
        self._recorder.record(self._predictor.take_scored())

    def _warm_up(self) -> None:
        """Score once, so that the first request is as fast as the others."""
        with suppress(NotReadyError):  # logged by the feature client; checked again at the next request
            self._predictor.score([ScoringRequest([_WARM_UP_CUSTOMER], None, False, _WARM_UP_CUSTOMER)])
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
        try:
            self.require_ready()
            METRICS.ready.set(1)
        except NotReadyError:
            METRICS.ready.set(0)
        except Exception as error:
            METRICS.ready.set(0)
            log_once(repr(error), f"Not ready because of an unexpected error: {error!r}")
        self._update_model_gauges()
        self._update_feature_gauges()
        METRICS.memory.set(self._process.memory_info().rss)
        if self.log is not None:
            METRICS.log_queue.set(self.log.queued_rows)
            METRICS.log_written.set_total(self.log.written_rows)
            METRICS.log_dropped.set_total(self.log.dropped_rows)
            METRICS.log_degraded.set(self.log.degraded is not None)

    def _update_model_gauges(self) -> None:
        state = self.watcher.state
        if state.champion:
            METRICS.champion.replace(1, (state.champion, state.loaded_from or ""))
        if state.challenger and state.mode:
            METRICS.challenger.replace(1, (state.challenger, state.mode))
            METRICS.challenger_share.replace(state.share, (state.challenger,))
            METRICS.start_challenger_series(state.challenger)
        else:
            METRICS.challenger.clear()
            METRICS.challenger_share.clear()
        METRICS.refused_versions.set(0, "none", "none")  # the metric exists before any version cannot be served
        unservable = (
            (version, "unavailable" if version in state.unavailable else "unusable") for version in state.unservable
        )
        METRICS.refused_versions.replace(1, *unservable)
        if state.reachable is not None:
            METRICS.registry_reachable.set(state.reachable)
        if state.last_success is not None:
            METRICS.registry_success.set(state.last_success)

    def _update_feature_gauges(self) -> None:
        METRICS.materialized_to.clear()
        METRICS.breaker_open.clear()
        for version, store in self.features.stores().items():
            METRICS.breaker_open.set(store.is_breaker_open, version)
            if store.materialized_to is not None:
                METRICS.materialized_to.set(store.materialized_to, version)
