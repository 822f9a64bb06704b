"""The constant service with Holdfast's tuning of BentoML.

The tuning patches BentoML for the whole process, so this module is separate from that of the default settings.
"""

from datetime import datetime

import bentoml

from benchmarks.serving.noop_service import RESPONSE
from services.bentoml_patches import freeze_garbage_collector, remove_bentoml_middlewares, service_options
from services.schemas import Prediction, ScoreRequest
from services.settings import ServingSettings

remove_bentoml_middlewares()


@bentoml.service(**service_options(ServingSettings.from_environment().workers))
class NoopTuned:
    """Constant prediction with Holdfast's tuning."""

    def __init__(self) -> None:
        freeze_garbage_collector()

    @bentoml.api(route="/predict", input_spec=ScoreRequest)
    async def predict(self, customer_id: str, as_of: datetime | None = None, explain: bool = False) -> Prediction:
        """Return the same prediction for every customer."""
        return Prediction(customer_id=customer_id, **RESPONSE)
