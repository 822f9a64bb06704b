"""Small shop with monthly score tables of registered versions."""

import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feature_repo.settings import Settings
from holdfast.models.contract import CHAMPION, MODEL_NAME
from tests.support.main_job import STATE
from tests.support.registered_versions import copy_base_shop, register_version
from tests.support.small_shop import AS_OF, KNOWN_AT, registered_store, use_data_folder

TRAINED = datetime(2024, 1, 20, tzinfo=UTC)
MONTHS = [datetime(2024, month, 1, tzinfo=UTC) for month in range(1, 7)]  # the first is before the training


@functools.cache
def scored_shop() -> Path:
    """Return a data folder whose champion, version 1, scored all customers at ``MONTHS``; read only."""
    with copy_base_shop(Path(tempfile.mkdtemp(dir=STATE, prefix="scored-"))) as (settings, client):
        promote(client, register_version(client, tags={"holdfast.as_of": TRAINED.isoformat()}))
        score(settings, MONTHS)
        return settings.data


def promote(client: Any, version: str) -> None:
    """Set the champion alias without gates or records."""
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)


def score(settings: Settings, times: list[datetime]) -> None:
    """Score all customers with the champion at each time, as known at the end."""
    from holdfast.batch_scoring.champion_model import load_champion
    from holdfast.batch_scoring.scoring_run import score_customers
    from holdfast.feature_store.snapshots import build_snapshots

    champion = load_champion(settings)
    for time in times:
        build_snapshots(settings, registered_store(), time, KNOWN_AT)
        score_customers(settings, champion, time, KNOWN_AT)


@contextmanager
def copy_scored_shop(folder: Path) -> Iterator[tuple[Settings, Any]]:
    """Point this process to a copy, on the clock of a replay; yield its settings and MLflow's client."""
    from holdfast.training.mlflow_client import open_tracking

    data = Path(shutil.copytree(scored_shop(), folder / "data"))
    with use_data_folder(data, HOLDFAST_CLOCK=AS_OF.isoformat()) as settings:
        yield settings, open_tracking(settings)
