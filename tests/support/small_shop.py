"""One small shop for all tests of features, training and promotion, and ways to work on it.

About 300 customers over 18 months, in three batches; a few rows of the first year arrive late.
"""

import functools
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_repo.settings import Settings, load_settings
from feature_repo.timestamps import DAY_US
from tests.support.feature_oracle import Transaction
from tests.support.ingest_pipeline import run_ingest
from tests.support.main_job import STATE

FIRST = datetime(2023, 1, 5, tzinfo=UTC)
AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
# Each batch brings what happened before the first time, and arrives at the second.
ARRIVALS = [
    (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, 3, tzinfo=UTC)),
    (datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 2, 3, tzinfo=UTC)),
    (AS_OF, AS_OF + timedelta(hours=3)),
]
KNOWN_AT = ARRIVALS[-1][1]
LATE_BATCH = 1  # it also brings every 40th row of the first
MAPPING = "columns: {customer_id: id, event_timestamp: when, amount: amount}\n"

# Modules that take the data folder from the environment when they are imported.
_DEFINITIONS = ("definitions", "data_sources", "feature_views", "on_demand_feature_views", "feature_services")
_PRELOAD = [
    "flows.train",
    "flows.features",
    "flows.promote",
    "tests.support.ingest_pipeline",
    "holdfast.feast_stores.open_store",
]
_PRELOAD += ["feast", "mlflow", "mlflow.sklearn", "skops.io", "duckdb", "pyarrow.parquet", "feast.repo_operations"]
_PRELOAD += [
    "holdfast.training.mlflow_tracking",
    "holdfast.training.plots",
    "holdfast.training.model_selection",
    "holdfast.ingestion.batch_writer",
]
_PRELOAD += [
    "holdfast.feature_store.materialization",
    "holdfast.feature_store.parity",
    "holdfast.feature_store.feast_registry",
]


@functools.cache
def transactions() -> list[Transaction]:
    """What happened, with the time each row became known: about 3,000 purchases and a few returns."""
    rng = np.random.default_rng(11)
    days = (AS_OF - FIRST).days
    rows: list[Transaction] = []
    for number in range(300):
        start = 0.0 if number == 0 else float(rng.uniform(0, 100) if number % 4 else rng.uniform(0, days * 0.75))
        gap = float(rng.lognormal(3.3, 0.7))
        leaves = start + float(rng.exponential(260))
        day = start
        while day < min(days, leaves):
            time = FIRST + timedelta(microseconds=int(day * DAY_US))
            amount = round(float(rng.lognormal(3, 0.8)), 2)
            if len(rows) % 40 == 39 and day > start:
                amount = -amount
            batch = next(i for i, (end, _) in enumerate(ARRIVALS) if time < end)
            if batch < LATE_BATCH and len(rows) % 40 == 7:
                batch = LATE_BATCH
            rows.append(Transaction(f"c{number:03d}", time, amount, ARRIVALS[batch][1]))
            day += float(rng.exponential(gap)) + 0.05
    return rows


def ingest(data: Path, rows: Sequence[Transaction], ingested_at: datetime) -> None:
    """Store rows as one batch, through the same steps as the flow."""
    lines = "".join(f"{row.customer_id},{row.event_timestamp.isoformat()},{row.amount!r}\n" for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        source, mapping = Path(folder) / "source.csv", Path(folder) / "mapping.yaml"
        source.write_text("id,when,amount\n" + lines)
        mapping.write_text(MAPPING)
        result = run_ingest(Settings(data=data), source, mapping, ingested_at)
    assert result.rows_added == len(rows), result


@functools.cache
def shop_folder() -> Path:
    """A data folder with the three batches and nothing else; read only."""
    data = STATE / "small-shop"
    for _, arrival in ARRIVALS:
        ingest(data, [row for row in transactions() if row.ingested_at == arrival], arrival)
    return data


def copy_shop(folder: Path) -> Path:
    """A copy of the shop that a test may change."""
    return Path(shutil.copytree(shop_folder(), folder / "data"))


@contextmanager
def at_work_on(data: Path, **variables: str) -> Iterator[Settings]:
    """This process at work on ``data`` as one that has just started there would be."""
    import feature_repo

    mlflow = sys.modules.get("mlflow")
    before = mlflow.get_tracking_uri() if mlflow else None
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(("HOLDFAST_", "FEAST_", "MLFLOW_"))]:
            patch.delenv(name)
        patch.setenv("HOLDFAST_DATA", str(data))
        for name, value in variables.items():
            patch.setenv(name, value)
        for name in _DEFINITIONS:
            patch.delitem(sys.modules, f"feature_repo.{name}", raising=False)
            patch.delattr(feature_repo, name, raising=False)
        try:
            yield load_settings()
        finally:
            for name in _DEFINITIONS:  # those imported meanwhile know this folder
                sys.modules.pop(f"feature_repo.{name}", None)
                vars(feature_repo).pop(name, None)
            if mlflow and before:
                mlflow.set_tracking_uri(before)


def build_features(settings: Settings, as_of: datetime = AS_OF, known_at: datetime = KNOWN_AT) -> Any:
    """Snapshots, registry and online store at ``as_of``, as the flow makes them; returns the first snapshot."""
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.feast_registry import apply_definitions
    from holdfast.feature_store.materialization import materialize
    from holdfast.feature_store.snapshots import build_snapshots

    snapshot = build_snapshots(settings, as_of, known_at)[0]
    apply_definitions(open_store())
    materialize(settings, open_store(snapshot.known_at), snapshot)
    return snapshot


@functools.cache
def processes() -> ForkServerContext:
    """Processes forked from a clean one that has imported everything: real, and quick to start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


def start(function: Callable[..., None], data: Path, *arguments: Any, api: str = "", **variables: str) -> Any:
    """Start ``function(*arguments)`` in a process of its own, at work on ``data``."""
    child = processes().Process(target=_run, args=(function, data, arguments, api, variables))
    child.start()
    return child


def join(child: ForkServerProcess, seconds: float = 60) -> int | None:
    """Its exit code; a process that hangs is killed."""
    child.join(seconds)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise AssertionError(f"still running after {seconds} seconds")
    return child.exitcode


def _run(function: Callable[..., None], data: Path, arguments: Any, api: str, variables: dict[str, str]) -> None:
    with at_work_on(data, **variables):
        if not api:
            function(*arguments)
            return
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: api}):
            function(*arguments)


def fast_flows() -> Any:
    """Settings under which a flow does not wait for its heartbeat."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def prefect_api() -> str:
    """Address of the Prefect server of the test session."""
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value())
