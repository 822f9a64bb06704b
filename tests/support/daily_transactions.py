"""Shop with about 60 purchases a day and six weeks of history, to test one more day."""

import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from feature_repo.settings import Settings
from holdfast.monitoring.data_quality.view import run_data_quality_view
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.window import Window
from tests.support.ingest_pipeline import run_ingest
from tests.support.main_job import STATE
from tests.support.small_shop import use_data_folder

TODAY = datetime(2024, 3, 8, tzinfo=UTC)  # a Friday, the first day after the history
_DAY, HISTORY_DAYS = timedelta(days=1), 42
_MAPPING = "columns: {customer_id: id, event_timestamp: when, amount: amount, quantity: quantity}\n"


def purchases(day: datetime, rows: int, seed: int = 0) -> pd.DataFrame:
    """Generate the purchases of one day, with unit prices of about 14."""
    rng = np.random.default_rng([seed, int(day.timestamp())])
    quantity = 1 + rng.poisson(1.2, rows)
    return pd.DataFrame(
        {
            "id": [f"c{number}" for number in rng.integers(0, 3000, rows)],
            "when": [day + timedelta(seconds=int(second)) for second in rng.integers(0, 86_400, rows)],
            "amount": np.round(quantity * rng.lognormal(2.64, 0.25, rows), 2),
            "quantity": quantity,
        }
    )


def deliver(settings: Settings, rows: pd.DataFrame, at: datetime) -> None:
    """Ingest rows as a file that arrives at a time."""
    with tempfile.TemporaryDirectory() as folder:
        source, mapping = Path(folder) / f"{at:%Y%m%d%H}.csv", Path(folder) / "mapping.yaml"
        rows.assign(when=[time.isoformat() for time in rows["when"]]).to_csv(source, index=False)
        mapping.write_text(_MAPPING)
        run_ingest(settings, source, mapping, at)


@functools.cache
def _history() -> Path:
    data = Path(tempfile.mkdtemp(dir=STATE, prefix="busy-")) / "data"
    rng = np.random.default_rng(5)
    days = [TODAY - number * _DAY for number in range(HISTORY_DAYS, 0, -1)]
    frames = [purchases(day, int(rng.poisson(60))) for day in days]
    deliver(Settings(data=data), pd.concat(frames[:-7]), days[-7] + _DAY / 24)
    for day, frame in zip(days[-7:], frames[-7:], strict=True):
        deliver(Settings(data=data), frame, day + _DAY + _DAY / 24)
    return data


@contextmanager
def daily_shop(folder: Path, clock: str = "data") -> Iterator[Settings]:
    """Point this process to a copy of the shop, as on the evening before ``TODAY``."""
    with use_data_folder(Path(shutil.copytree(_history(), folder / "data")), HOLDFAST_CLOCK=clock) as settings:
        yield settings


def run_view(settings: Settings, as_of: datetime = TODAY + _DAY) -> ViewResult:
    """Run the data quality view for the day before ``as_of``, with arrivals up to two hours after ``as_of``."""
    return run_data_quality_view(settings, Window(as_of - _DAY, as_of, as_of + _DAY / 12), MonitorSettings())
