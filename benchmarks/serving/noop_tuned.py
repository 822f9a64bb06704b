"""The same no-op with everything that Holdfast tunes around its own endpoint: what is left is the framework."""

from datetime import datetime

import bentoml

from benchmarks.serving.noop_service import ANSWER
from services.bentoml_patches import SERVICE_OPTIONS, remove_bentoml_middlewares, settle_garbage_collector
from services.schemas import Prediction, PredictRequest

remove_bentoml_middlewares()


@bentoml.service(**SERVICE_OPTIONS)
class NoopTuned:
    """Answers with a constant."""

    def __init__(self) -> None:
        settle_garbage_collector()

    @bentoml.api(route="/predict", input_spec=PredictRequest)
    async def predict(self, customer_id: str, as_of: datetime | None = None, explain: bool = False) -> Prediction:
        """The same prediction for everybody."""
        return Prediction(customer_id=customer_id, **ANSWER)
