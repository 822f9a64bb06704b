"""Naive service, as in a careful tutorial: store and model are opened once, then Feast and scikit-learn do the work.

Features, model and time of the request are those of Holdfast, without its checks. ``NAIVE_MODEL`` is the folder of the
model; Feast reads its configuration from FEAST_FS_YAML_FILE_PATH.
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


class Response(BaseModel):
    """Score of one customer."""

    customer_id: str
    churn_probability: float


@bentoml.service
class NaiveChurn:
    """Prediction from online features."""

    def __init__(self) -> None:
        self.store = FeatureStore(fs_yaml_file=Path(os.environ["FEAST_FS_YAML_FILE_PATH"]))
        self.features = self.store.get_feature_service("churn_v1")
        self.names = [field.name for view in self.features.feature_view_projections for field in view.features]
        self.model = skops.io.load(MODEL / "model.skops", trusted=TRUSTED)

    @bentoml.api(route="/predict")
    def predict(self, customer_id: str) -> Response:
        """Predict the probability of churn."""
        entity = {"customer_id": customer_id, "as_of_us": AS_OF_US}
        values = self.store.get_online_features(features=self.features, entity_rows=[entity]).to_dict()
        row = pd.DataFrame(values)[self.names].astype(float)
        return Response(customer_id=customer_id, churn_probability=self.model.predict_proba(row.to_numpy())[0, 1])
