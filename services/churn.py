"""The prediction service: customer ids in, churn probabilities out."""

import warnings
from datetime import datetime
from typing import Any, cast

import bentoml
from bentoml.models import BentoModel
from starlette.exceptions import HTTPException

from feature_repo.settings import load_settings
from holdfast.models.contract import MODEL_NAME
from services.api.middleware import ApiMiddleware, ApiRoute, new_request_id
from services.api.openapi import openapi
from services.bentoml_patches import SERVICE_OPTIONS, remove_bentoml_middlewares
from services.errors import NotReadyError
from services.observability.tracing import RequestTracer, is_traced
from services.schemas import BatchPrediction, PredictBatchRequest, Prediction, PredictRequest
from services.settings import load_serving_settings

remove_bentoml_middlewares()


@bentoml.service(name="holdfast", **SERVICE_OPTIONS)
class ChurnService:
    """Predicts whether a customer will stop buying, from the latest features in the online store."""

    saved_model = BentoModel(f"{MODEL_NAME}:latest")

    def __init__(self) -> None:
        from services.engine import (
            PredictionEngine,  # BentoML's first process imports this module too, only to count workers
        )

        self._engine = PredictionEngine(load_settings(), load_serving_settings(), _service().bento)
        # BentoML 1.4 reads a deprecated Pydantic attribute at each request. After Feast's import, which sets filters.
        warnings.filterwarnings("ignore", message="Accessing the 'model_fields' attribute", module="_bentoml_impl")

    def __is_ready__(self) -> bool:
        """True, or an HTTP 503 that says what is missing."""
        try:
            self._engine.require_ready()
        except NotReadyError as problem:
            raise HTTPException(problem.status, problem.message) from problem
        return True

    @bentoml.on_shutdown
    def close(self) -> None:
        """Write down what was answered."""
        self._engine.close()

    @bentoml.api(route="/predict", input_spec=PredictRequest)
    async def predict(self, customer_id: str, as_of: datetime | None = None, explain: bool = False) -> Prediction:
        """Churn probability of one customer; with ``explain`` also the reasons."""
        request = PredictRequest(customer_id=customer_id, as_of=as_of, explain=explain)
        return await self.answer_one(request, new_request_id())

    @bentoml.api(route="/predict_batch", input_spec=PredictBatchRequest)
    async def predict_batch(
        self, customer_ids: list[str], as_of: datetime | None = None, explain: bool = False
    ) -> BatchPrediction:
        """Churn probabilities of up to 1000 customers; one that gets none says why and spoils no other."""
        request = PredictBatchRequest(customer_ids=customer_ids, as_of=as_of, explain=explain)
        return await self.answer_batch(request, new_request_id())

    async def answer_one(self, request: PredictRequest, request_id: str) -> Prediction:
        """What ``predict`` says to a request that is known by an id."""
        return await self._engine.predict(request, request_id)

    async def answer_batch(self, request: PredictBatchRequest, request_id: str) -> BatchPrediction:
        """What ``predict_batch`` says to a request that is known by an id."""
        return await self._engine.predict_batch(request, request_id)


def _service() -> bentoml.Service[ChurnService]:
    """The class as BentoML's decorator left it."""
    return cast("bentoml.Service[ChurnService]", ChurnService)


def _describe() -> dict[str, Any]:
    service = _service()
    return openapi(service.name, service.doc, str(service.bento.tag.version) if service.bento else "not built")


_CUSTOMERS_PER_REQUEST = 100  # a batch counts as more than one request, where too many at once are refused
_ROUTES = {
    "/predict": ApiRoute(PredictRequest, lambda service, *request: service.answer_one(*request)),
    "/predict_batch": ApiRoute(
        PredictBatchRequest,
        lambda service, *request: service.answer_batch(*request),
        weight=lambda request: max(1, len(request.customer_ids) // _CUSTOMERS_PER_REQUEST),
    ),
}
if is_traced():  # the first one added is the outermost
    _service().add_asgi_middleware(RequestTracer, paths=_ROUTES)
_service().add_asgi_middleware(ApiMiddleware, describe=_describe, routes=_ROUTES)
