"""Lower bound of the latency: a BentoML service with Holdfast's request and response that returns a constant."""

from datetime import UTC, datetime

import bentoml

from services.schemas import Prediction, ScoreRequest

RESPONSE = {
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
    """Constant prediction with BentoML's default settings."""

    @bentoml.api(route="/predict", input_spec=ScoreRequest)
    def predict(self, customer_id: str, as_of: datetime | None = None, explain: bool = False) -> Prediction:
        """Return the same prediction for every customer."""
        return Prediction(customer_id=customer_id, **RESPONSE)
