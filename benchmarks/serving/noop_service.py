"""The floor: an endpoint of BentoML with our request and answer that does nothing, as it comes."""

from datetime import UTC, datetime

import bentoml

from services.bentoml_patches import freeze_garbage_collector, remove_bentoml_middlewares, service_options
from services.schemas import Prediction, PredictRequest
from services.settings import load_serving_settings

ANSWER = {
    "churn_probability": 0.5,
    "will_churn": True,
    "threshold": 0.4,
    "model_version": "1",
    "feature_service": "churn_v1",
    "feature_timestamp": datetime(2024, 3, 1, tzinfo=UTC),
    "feature_age_seconds": 0.0,
    "stale": False,
    "active": True,
    "explanation": None,
}


@bentoml.service
class Noop:
    """Answers with a constant."""

    @bentoml.api(route="/predict", input_spec=PredictRequest)
    def predict(self, customer_id: str, as_of: datetime | None = None, explain: bool = False) -> Prediction:
        """The same prediction for everybody."""
        return Prediction(customer_id=customer_id, **ANSWER)


remove_bentoml_middlewares()


@bentoml.service(**service_options(load_serving_settings().workers))
class NoopTuned:
    """Answers with a constant."""

    def __init__(self) -> None:
        freeze_garbage_collector()

    @bentoml.api(route="/predict", input_spec=PredictRequest)
    async def predict(self, customer_id: str, as_of: datetime | None = None, explain: bool = False) -> Prediction:
        """The same prediction for everybody."""
        return Prediction(customer_id=customer_id, **ANSWER)
