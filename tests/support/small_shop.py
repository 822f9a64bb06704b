"""Small shop for tests of features, training and promotion, and helpers to run code on its data folder.

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

from feature_repo.settings import Settings
from feature_repo.timestamps import DAY_US
from holdfast.runtime.prefect_access import CLIENT_PASSWORD
from tests.support.databases import skip_disk_waits
from tests.support.feature_oracle import Transaction
from tests.support.ingest_pipeline import run_ingest
from tests.support.main_job import STATE

FIRST = datetime(2023, 1, 5, tzinfo=UTC)
AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
# End of the events of each batch, and its arrival.
ARRIVALS = [
    (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, 3, tzinfo=UTC)),
    (datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 2, 3, tzinfo=UTC)),
    (AS_OF, AS_OF + timedelta(hours=3)),
]
KNOWN_AT = ARRIVALS[-1][1]
LATE_BATCH = 1  # contains also every 40th row of the first batch
MAPPING = "columns: {customer_id: id, event_timestamp: when, amount: amount}\n"

# Modules that read the data folder from the environment at import.
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
    "holdfast.feature_store.definition_versions",
]


@functools.cache
def transactions() -> list[Transaction]:
    """Generate about 3,000 purchases and a few returns, with the arrival of each row."""
    rng = np.random.default_rng(11)
    days = (AS_OF - FIRST).days
    rows: list[Transaction] = []
    for number in range(300):
        start_process = (
            0.0 if number == 0 else float(rng.uniform(0, 100) if number % 4 else rng.uniform(0, days * 0.75))
        )
        gap = float(rng.lognormal(3.3, 0.7))
        leaves = start_process + float(rng.exponential(260))
        day = start_process
        while day < min(days, leaves):
            time = FIRST + timedelta(microseconds=int(day * DAY_US))
            amount = round(float(rng.lognormal(3, 0.8)), 2)
            if len(rows) % 40 == 39 and day > start_process:
                amount = -amount
            batch = next(i for i, (end, _) in enumerate(ARRIVALS) if time < end)
            if batch < LATE_BATCH and len(rows) % 40 == 7:
                batch = LATE_BATCH
            rows.append(Transaction(f"c{number:03d}", time, amount, ARRIVALS[batch][1]))
            day += float(rng.exponential(gap)) + 0.05
    return rows


def ingest(data: Path, rows: Sequence[Transaction], ingested_at: datetime) -> None:
    """Store rows as one batch, by the same steps as the flow."""
    lines = "".join(f"{row.customer_id},{row.event_timestamp.isoformat()},{row.amount!r}\n" for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        source, mapping = Path(folder) / "source.csv", Path(folder) / "mapping.yaml"
        source.write_text("id,when,amount\n" + lines)
        mapping.write_text(MAPPING)
        result = run_ingest(Settings(data=data), source, mapping, ingested_at)
    assert result.rows_added == len(rows), result


@functools.cache
def shop_folder() -> Path:
    """Create the read-only data folder with the three batches."""
    data = STATE / "small-shop"
    for _, arrival in ARRIVALS:
        ingest(data, [row for row in transactions() if row.ingested_at == arrival], arrival)
    return data


def copy_shop(folder: Path) -> Path:
    """Copy the data folder of the shop for a test that changes it."""
    return Path(shutil.copytree(shop_folder(), folder / "data"))


@contextmanager
def use_data_folder(data: Path, **variables: str) -> Iterator[Settings]:
    """Use a data folder in this process, with the state of a process that has just started."""
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
            yield Settings.from_environment()
        finally:
            for name in _DEFINITIONS:  # modules imported in the meantime refer to this folder
                sys.modules.pop(f"feature_repo.{name}", None)
                vars(feature_repo).pop(name, None)
            if mlflow and before:
                mlflow.set_tracking_uri(before)


def register_definitions() -> str:
    """Apply the definitions of this checkout, register their version and return its id."""
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.definition_versions import register_version
    from holdfast.feature_store.feast_registry import apply_definitions

    apply_definitions(open_store())
    return register_version(open_store())


def build_features(settings: Settings, as_of: datetime = AS_OF, known_at: datetime = KNOWN_AT) -> Any:
    """Build registry, snapshots and online values at ``as_of`` as the flow does, and return the first snapshot."""
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.materialization import materialize
    from holdfast.feature_store.snapshots import build_snapshots

    version = register_definitions()
    snapshot = build_snapshots(settings, open_store(definitions=version), as_of, known_at)[0]
    materialize(settings, version, snapshot)
    return snapshot


@functools.cache
def built_folder() -> Path:
    """Create the read-only data folder of the shop with registry, snapshots and online store at ``AS_OF``."""
    with use_data_folder(copy_shop(Path(tempfile.mkdtemp(dir=STATE, prefix="built-shop-")))) as settings:
        build_features(settings)
        return settings.data


def registered_store(known_at: datetime | None = None) -> Any:
    """Open the store of the version of this checkout's definitions, which is registered before if it is not."""
    from holdfast.feast_stores.open_store import open_store

    return open_store(known_at, definitions=register_definitions())


@functools.cache
def fork_server() -> ForkServerContext:
    """Return a fork server that has imported the heavy modules, so that processes start quickly."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


def start_process(function: Callable[..., None], data: Path, *arguments: Any, api: str = "", **variables: str) -> Any:
    """Start ``function(*arguments)`` in a new process that uses the data folder ``data``."""
    child = fork_server().Process(target=_run, args=(function, data, arguments, api, variables))
    child.start()
    return child


def join_process(child: ForkServerProcess, seconds: float = 60) -> int | None:
    """Wait for a process and return its exit code; kill a process that does not end."""
    child.join(seconds)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise AssertionError(f"still running after {seconds} seconds")
    return child.exitcode


def _run(function: Callable[..., None], data: Path, arguments: Any, api: str, variables: dict[str, str]) -> None:
    skip_disk_waits()
    with use_data_folder(data, **variables):
        if not api:
            function(*arguments)
            return
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: api}):
            function(*arguments)


def fast_flows() -> Any:
    """Return Prefect settings that disable the flow heartbeat, so that flows end without delay."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def prefect_api() -> str:
    """Return the URL of the Prefect server of the test session."""
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value())


def prefect_client() -> dict[str, str]:
    """Return the variables of a client of the Prefect server of the test session, with its password."""
    return {"PREFECT_API_URL": prefect_api(), CLIENT_PASSWORD: os.environ[CLIENT_PASSWORD]}


def active_customers(as_of: datetime, known_at: datetime) -> list[str]:
    """List the customers with a purchase in the 180 days before ``as_of``, as known at ``known_at``."""
    start = as_of - timedelta(days=180)
    return sorted(
        {
            row.customer_id
            for row in transactions()
            if start <= row.event_timestamp < as_of and row.amount > 0 and row.ingested_at <= known_at
        }
    )
