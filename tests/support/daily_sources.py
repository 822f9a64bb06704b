"""Shop with a file of each source per day: purchases of shop and till, tickets and visits, and countries."""

import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from feature_repo.settings import Settings
from tests.support.daily_transactions import HISTORY_DAYS, TODAY, purchases
from tests.support.ingest_pipeline import run_ingest
from tests.support.main_job import STATE
from tests.support.small_shop import use_data_folder

_DAY = timedelta(days=1)
_COLUMNS = "columns: {customer_id: id, event_timestamp: when, "
MAPPINGS = {
    "shop": f"{_COLUMNS}amount: amount, source: {{constant: shop}}}}\n",
    "till": f"{_COLUMNS}amount: amount, source: {{constant: till}}}}\n",
    "contacts": f"kind: events\n{_COLUMNS}kind: kind, value: minutes}}\n",
    "customers": f"kind: attributes\n{_COLUMNS}attributes: {{country: country}}}}\n",
}
KINDS = {"ticket": 25, "visit": 40}  # of event, with their number per day


def contacts(day: datetime, counts: dict[str, int] | None = None) -> pd.DataFrame:
    """Generate the events of a day, ``counts`` of each kind."""
    frames = [
        purchases(day, count, seed=number)[["id", "when"]].assign(kind=kind, minutes=7)
        for number, (kind, count) in enumerate((KINDS if counts is None else counts).items(), 10)
    ]
    return pd.concat(frames)


def customers(day: datetime, rows: int = 12) -> pd.DataFrame:
    """Generate the customers of a day, each with a country."""
    ids = [f"{day:%m%d}-{number}" for number in range(rows)]
    return purchases(day, rows, seed=20).assign(id=ids, country="UK")


def day_of(source: str, day: datetime) -> pd.DataFrame:
    """Generate the usual rows of a source on a day."""
    if source == "contacts":
        return contacts(day)
    return customers(day) if source == "customers" else purchases(day, 60 if source == "shop" else 20, len(source))


def deliver_source(settings: Settings, source: str, rows: pd.DataFrame, at: datetime) -> None:
    """Ingest rows as the file of a source that arrives at a time."""
    with tempfile.TemporaryDirectory() as folder:
        path, mapping = Path(folder) / f"{source}-{at:%Y%m%d}.csv", Path(folder) / f"{source}.yaml"
        rows.assign(when=[time.isoformat() for time in rows["when"]]).to_csv(path, index=False)
        mapping.write_text(MAPPINGS[source])
        run_ingest(settings, path, mapping, at)


@functools.cache
def _history() -> Path:
    """Build six weeks: one file of each source with the history, and on the last evening one with the day before."""
    data = Path(tempfile.mkdtemp(dir=STATE, prefix="sources-")) / "data"
    days = [TODAY - number * _DAY for number in range(HISTORY_DAYS, 0, -1)]
    settings = Settings(data=data)
    for hour, source in enumerate(MAPPINGS, 1):
        frames = [day_of(source, day) for day in days[:-1]]
        if source == "customers":  # a load of the whole table, which is no expectation
            frames[0] = customers(days[0], 4000)
        deliver_source(settings, source, pd.concat(frames), days[-1] + hour * _DAY / 24)
    deliver_day(settings, days[-1])
    return data


@contextmanager
def shop_of_sources(folder: Path) -> Iterator[Settings]:
    """Point this process to a copy of the shop, as on the evening before ``TODAY``."""
    with use_data_folder(Path(shutil.copytree(_history(), folder / "data")), HOLDFAST_CLOCK="data") as settings:
        yield settings


def deliver_day(settings: Settings, day: datetime = TODAY, **changed: pd.DataFrame | None) -> None:
    """Deliver the files of a day; a source in ``changed`` with other rows, or none at all."""
    for hour, source in enumerate(MAPPINGS, 1):
        rows = changed.get(source, day_of(source, day)) if source in changed else day_of(source, day)
        if rows is not None and len(rows):
            deliver_source(settings, source, rows, day + _DAY + hour * timedelta(minutes=20))


def renamed(rows: pd.DataFrame, old: str, new: str) -> pd.DataFrame:
    """Rename a kind of event."""
    return rows.assign(kind=np.where(rows["kind"] == old, new, rows["kind"]))
