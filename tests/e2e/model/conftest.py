"""Champion of the main job with real customers."""

from datetime import datetime

import pandas as pd
import pytest

from feature_repo.transformations import BUILDERS
from holdfast.models.contract import CHAMPION, MODEL_NAME
from tests.support.feature_oracle import microseconds
from tests.support.main_job import MainJob
from tests.support.main_job_champion import Champion
from tests.support.small_shop import use_data_folder


@pytest.fixture(scope="session")
def champion(main_job: MainJob) -> Champion:
    """The champion from the registry, with the customers active at the end of CDNOW."""
    import mlflow

    from holdfast.feast_stores.open_store import open_store
    from holdfast.models.contract import model_inputs
    from holdfast.training.fitting import predict_churn
    from holdfast.training.mlflow_client import open_tracking

    as_of = datetime.fromisoformat(main_job.summary["as_of"])
    with use_data_folder(main_job.data) as settings:
        client = open_tracking(settings)
        version = client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
        model = mlflow.sklearn.load_model(f"models:/{MODEL_NAME}@{CHAMPION}")
        tested = pd.read_parquet(client.download_artifacts(str(version.run_id), "test_predictions.parquet"))
        store = open_store()
        inputs = model_inputs(store)
        request_time = store.get_on_demand_feature_view("customer_request_time").feature_transformation.udf
        customers: pd.DataFrame | None = None
        for view in BUILDERS:
            (file,) = settings.snapshots.glob(f"{view}/*/{as_of:%Y%m%dT%H%M%S}*/*.parquet")
            frame = pd.read_parquet(file).drop(columns=["as_of", "known_at"])
            customers = frame if customers is None else customers.merge(frame, on="customer_id", validate="1:1")
    assert customers is not None
    active = customers[customers["purchase_days_180d"] > 0].reset_index(drop=True)
    return Champion(lambda x: predict_churn(model, x), inputs, active, request_time, microseconds(as_of), tested)
