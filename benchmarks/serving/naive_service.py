"""The service as a careful tutorial would write it: everything opened once, then Feast and scikit-learn as they are.

It has the same features, the same model and the same time of the request as Holdfast, and none of its checks.
``NAIVE_MODEL`` is the folder of the model; Feast finds its configuration by its own variable.
"""

import os
from datetime import datetime
from pathlib import Path

import bentoml
import pandas as pd
import skops.io
from feast import FeatureStore
from pydantic import BaseModel

MODEL = Path(os.environ["NAIVE_MODEL"])
AS_OF_US = int(datetime.fromisoformat(os.environ["HOLDFAST_CLOCK"]).timestamp() * 1_000_000)
TRUSTED = [
    "holdfast.models.calibrated_classifier.CalibratedModel",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


class Answer(BaseModel):
    """The score of one customer."""

    customer_id: str
    churn_probability: float


@bentoml.service
class NaiveChurn:
    """Reads the features of a customer and scores them."""

    def __init__(self) -> None:
        self.store = FeatureStore(fs_yaml_file=Path(os.environ["FEAST_FS_YAML_FILE_PATH"]))
        self.features = self.store.get_feature_service("churn_v1")
        self.names = [field.name for view in self.features.feature_view_projections for field in view.features]
        self.model = skops.io.load(MODEL / "model.skops", trusted=TRUSTED)

    @bentoml.api(route="/predict")
    def predict(self, customer_id: str) -> Answer:
        """The probability of churn."""
        entity = {"customer_id": customer_id, "as_of_us": AS_OF_US}
        values = self.store.get_online_features(features=self.features, entity_rows=[entity]).to_dict()
        row = pd.DataFrame(values)[self.names].astype(float)
        return Answer(customer_id=customer_id, churn_probability=self.model.predict_proba(row.to_numpy())[0, 1])
