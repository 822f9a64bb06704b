"""Prediction service, the module that BentoML imports: customer ids in, churn probabilities out."""

from datetime import datetime
from typing import Any, cast

from services.settings import ServingSettings, apply_service_environment

apply_service_environment()

import bentoml
from bentoml.models import BentoModel
from starlette.exceptions import HTTPException

from feature_repo.settings import Settings
from holdfast.core.model_names import CHURN
from holdfast.models.contract import MODEL_NAME
from services.api.middleware import ApiMiddleware, new_request_id
from services.api.openapi import openapi_document
from services.api.responses import require_result, to_batch_prediction, to_prediction
from services.bentoml_patches import ignore_model_fields_warning, remove_bentoml_middlewares, service_options
from services.errors import NotReadyError
from services.schemas import BatchPrediction, Prediction, ScoreBatchRequest, ScoreRequest

remove_bentoml_middlewares()


@bentoml.service(name="holdfast", **service_options(ServingSettings.from_environment().workers))
class ChurnService:
    """Predicts whether a customer will stop buying, from the latest features in the online store."""

    saved_model = BentoModel(f"{MODEL_NAME}:latest")

    def __init__(self) -> None:
        from services.engine import PredictionEngine  # BentoML's first process needs only the options above

        self.engine = PredictionEngine(
            Settings.from_environment(), ServingSettings.from_environment(), _service().bento
        )
        ignore_model_fields_warning()

    def __is_ready__(self) -> bool:
        """Return True if predictions are served now; overrides BentoML's hook.

        Raises:
            HTTPException: The service is not ready; the message names what is missing.
        """
        try:
            self.engine.require_ready()
        except NotReadyError as error:
            raise HTTPException(error.status, error.message) from error
        return True

    @bentoml.on_shutdown
    def close(self) -> None:
        """Write the served predictions to the log."""
        self.engine.close()

    @bentoml.api(route="/predict", input_spec=ScoreRequest)
    async def predict(self, customer_id: str, as_of: datetime | None = None, explain: bool = False) -> Prediction:
        """Predict the churn probability of one customer.

        Args:
            customer_id: Customer.
            as_of: Time to predict for; None: now.
            explain: Add an explanation.

        Returns:
            Prediction.
        """
        request = ScoreRequest(customer_id=customer_id, as_of=as_of, explain=explain)
        results = await self.engine.score([request.customer_id], request.as_of, request.explain, new_request_id())
        return to_prediction(require_result(results[CHURN]))

    @bentoml.api(route="/predict_batch", input_spec=ScoreBatchRequest)
    async def predict_batch(
        self, customer_ids: list[str], as_of: datetime | None = None, explain: bool = False
    ) -> BatchPrediction:
        """Predict the churn probabilities of up to 1000 customers.

        Args:
            customer_ids: Customers.
            as_of: Time to predict for; None: now.
            explain: Add explanations.

        Returns:
            One item per customer, with a score or the reason for its absence.
        """
        request = ScoreBatchRequest(customer_ids=customer_ids, as_of=as_of, explain=explain)
        results = await self.engine.score(request.customer_ids, request.as_of, request.explain, new_request_id())
        return to_batch_prediction(require_result(results[CHURN]))


def _service() -> bentoml.Service[ChurnService]:
    """Return the class as BentoML's decorator replaced it."""
    return cast("bentoml.Service[ChurnService]", ChurnService)


def _describe() -> dict[str, Any]:
    service = _service()
    return openapi_document(service.name, service.doc, str(service.bento.tag.version) if service.bento else "not built")


_service().add_asgi_middleware(ApiMiddleware, describe=_describe)
