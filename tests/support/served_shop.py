"""Small shop with two registered versions and the prediction log of one normal day."""

import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feature_repo.settings import Settings
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.registered_version import TRAFFIC_TAG
from holdfast.monitoring.window import Window
from tests.support.main_job import STATE
from tests.support.registered_versions import copy_base_shop, register_version
from tests.support.small_shop import AS_OF, use_data_folder

NOON = AS_OF + timedelta(hours=12)


@functools.cache
def served_shop() -> Path:
    """Return a data folder with predictions for all customers at ``NOON``, by version 1 and in shadow by version 2."""
    with copy_base_shop(Path(tempfile.mkdtemp(dir=STATE, prefix="served-"))) as (settings, client):
        champion, challenger = register_version(client), register_version(client, "noisy")
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
        client.set_registered_model_alias(MODEL_NAME, CHALLENGER, challenger)
        client.set_model_version_tag(MODEL_NAME, challenger, TRAFFIC_TAG, '{"mode": "shadow"}')
        serve(settings, NOON)
        return settings.data


def serve(settings: Settings, as_of: datetime, customers: list[str] | None = None) -> dict[str, Any]:
    """Start the service and return its predictions at ``as_of`` by customer, for all customers by default."""
    from tests.support.service_fixtures import serve_in_process

    asked = customers or list_customers(settings)
    with serve_in_process(settings.data, HOLDFAST_CLOCK=as_of.isoformat()) as client:
        answer = client.post("/predict_batch", json={"customer_ids": asked})
        assert answer.status_code == 200, answer.text
    return {item["customer_id"]: item for item in answer.json()["predictions"]}


def list_customers(settings: Settings) -> list[str]:
    """List the customers of the latest snapshot."""
    import pyarrow.parquet as pq

    files = sorted((settings.snapshots / "customer_recent_activity").rglob("*.parquet"))
    ids: list[str] = pq.read_table(files[-1], columns=["customer_id"])["customer_id"].to_pylist()
    return ids


@contextmanager
def copy_served_shop(folder: Path, log: bool = True) -> Iterator[Settings]:
    """Point this process to a copy, with or without the prediction log."""
    left_out = () if log else ("predictions",)
    data = Path(shutil.copytree(served_shop(), folder / "data", ignore=shutil.ignore_patterns(*left_out)))
    # The clock differs from the response times, as in a replay.
    with use_data_folder(data, HOLDFAST_CLOCK=NOON.isoformat()) as settings:
        yield settings


def day_window(as_of: datetime = AS_OF) -> Window:
    """Return the window of the day that starts at ``as_of``, as known now."""
    return Window(as_of, as_of + timedelta(days=1), datetime.now(UTC))
