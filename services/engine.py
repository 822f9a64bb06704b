"""All the moving parts of the service, put together: models, features, the scoring thread, the log, the metrics."""

import threading
from contextlib import suppress

import psutil
from bentoml import Bento

import holdfast.feast_stores._feast_imports  # noqa: F401  before anything that imports Feast: a third of the time
from feature_repo.settings import Settings
from holdfast.models.registry_client import RegistryClient
from services.api.responses import batch_prediction, prediction
from services.bentoml_patches import settle_garbage_collector
from services.errors import NotReadyError
from services.inference.datatypes import ScoringRequest, ScoringResult
from services.inference.feature_client import FeatureClient
from services.inference.micro_batcher import MicroBatcher
from services.inference.predictor import Predictor
from services.inference.recorder import record
from services.models.loader import load_saved_model, model_folder
from services.models.registry_watcher import RegistryWatcher
from services.observability.logs import LOG, forget_causes, log_once
from services.observability.metrics import METRICS, forget_ended_workers
from services.observability.tracing import StageTracer
from services.prediction_log.writer import PredictionLog
from services.schemas import BatchPrediction, PredictBatchRequest, Prediction, PredictRequest
from services.settings import ServingSettings

_PUBLISH_SECONDS = 1.0
_WARM_UP_CUSTOMER = "warm-up"


class PredictionEngine:
    """Answers requests until it is closed; ``bento`` is what it runs from, if it is one."""

    def __init__(self, settings: Settings, serving: ServingSettings, bento: Bento | None) -> None:
        forget_causes()
        self.features = FeatureClient(settings, serving.store_timeout_ms / 1000, serving.last_known)
        self.models = RegistryWatcher(
            RegistryClient(settings.mlflow_tracking_uri),
            lambda: load_saved_model(model_folder(bento)),
            self.features.require,
            poll_seconds=serving.registry_poll_seconds,
            answer_within=serving.registry_start_seconds,
        )
        self.models.start()
        self.log: PredictionLog | None = None
        if serving.prediction_log:
            self.log = PredictionLog(settings.predictions, keep_days=serving.prediction_log_days)
        self._predictor = Predictor(settings, self.features, lambda: self.models.lineup)
        self._batcher: MicroBatcher[ScoringRequest, ScoringResult] = MicroBatcher(
            self._predictor.answer, self._record, size=lambda asked: len(asked.customer_ids)
        )
        self._tracer = StageTracer()
        self._process = psutil.Process()
        self._closing = threading.Event()
        self._publisher = threading.Thread(target=self._publish, name="metrics", daemon=True)
        self._warm_up()
        self._publisher.start()

    async def predict(self, request: PredictRequest, request_id: str) -> Prediction:
        """The score of one customer.

        Raises:
            ServiceError: There is none.
        """
        asked = ScoringRequest([request.customer_id], request.as_of, request.explain, request_id)
        return prediction(await self._answered(asked))

    async def predict_batch(self, request: PredictBatchRequest, request_id: str) -> BatchPrediction:
        """What becomes of each of many customers.

        Raises:
            ServiceError: None of them gets an answer.
        """
        asked = ScoringRequest(request.customer_ids, request.as_of, request.explain, request_id)
        return batch_prediction(await self._answered(asked))

    async def _answered(self, asked: ScoringRequest) -> ScoringResult:
        answered = await self._batcher.submit(asked)
        self._tracer.record(answered.batch.stages, len(answered.batch.usable))
        return answered

    def require_ready(self) -> None:
        """Raises NotReadyError, if requests for predictions would not be answered now."""
        contract = self.models.lineup.champion.contract
        self.features.probe(self.features.definitions(contract), contract)

    def close(self) -> None:
        """Answer what is waiting and write down what was answered."""
        self.models.stop()
        self._batcher.close()
        self._closing.set()
        self._publisher.join()
        if self.log is not None:
            self.log.close()
        self._tracer.close()

    def _record(self) -> None:
        record(self._predictor.taken(), self.log.append if self.log is not None else None)

    def _warm_up(self) -> None:
        """Make the first request as quick as the others."""
        with suppress(NotReadyError):  # it says why in the log, and looks again at the next request
            self._predictor.answer([ScoringRequest([_WARM_UP_CUSTOMER], None, False, _WARM_UP_CUSTOMER)])
        self._predictor.taken()
        settle_garbage_collector()

    def _publish(self) -> None:
        last, first = False, True
        while True:
            try:
                if first:
                    first = False
                    forget_ended_workers()
                self._observe()
                METRICS.publish()
            except Exception:
                LOG.exception("Metrics could not be published")
            if last:
                return
            last = self._closing.wait(_PUBLISH_SECONDS)

    def _observe(self) -> None:
        try:
            self.require_ready()
            METRICS.ready.set(1)
        except NotReadyError:
            METRICS.ready.set(0)
        except Exception as error:
            METRICS.ready.set(0)
            log_once(repr(error), f"Not ready, unexpectedly: {error!r}")
        self._observe_models()
        METRICS.memory.set(self._process.memory_info().rss)
        if self.log is not None:
            METRICS.log_queue.set(self.log.queued_rows)
            METRICS.log_written.reached(self.log.written_rows)
            METRICS.log_dropped.reached(self.log.dropped_rows)
            METRICS.log_degraded.set(self.log.degraded is not None)

    def _observe_models(self) -> None:
        state = self.models.state
        if state.champion:
            METRICS.champion.set_only(1, state.champion, state.loaded_from or "")
        if state.challenger and state.mode:
            METRICS.challenger.set_only(1, state.challenger, state.mode)
            METRICS.challenger_share.set_only(state.share, state.challenger)
            METRICS.challenger_failures.add(state.challenger, amount=0)
        else:
            METRICS.challenger.clear()
            METRICS.challenger_share.clear()
        METRICS.refused_versions.set(0, "none", "none")  # the metric is there before a version is
        refused = ((version, "unavailable" if version in state.away else "unusable") for version in state.refused)
        METRICS.refused_versions.set_all(1, refused)
        if state.reachable is not None:
            METRICS.registry_reachable.set(state.reachable)
        if state.last_success is not None:
            METRICS.registry_success.set(state.last_success)
