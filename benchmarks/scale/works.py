"""Works of the benchmark of costs by size, each beside its reference in the same process.

A work prepares what it needs and returns the timed call and the call of its reference. The works use one data folder:
each needs the results of the earlier ones.
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import ibis
import numpy as np
import pandas as pd

from benchmarks.scale.shop_generator import DAYS, FIRST_DAY
from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.settings import Settings
from feature_repo.timestamps import epoch_us
from holdfast.core.definition_hashes import list_stored_views
from holdfast.core.parquet_files import create_parquet_view
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import list_versions, open_version
from holdfast.feature_store.feast_registry import find_applied_version
from holdfast.feature_store.historical_features import join_features
from holdfast.feature_store.materialization import materialize
from holdfast.feature_store.parity import check_parity, require_parity
from holdfast.feature_store.snapshots import Snapshot, build_snapshots, read_customers, snapshot_path
from holdfast.feature_store.transformation_run import create_source_tables, run_transformation
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.tables import scan_table
from holdfast.online_features.reader import OnlineReader
from tests.support.ingest_pipeline import run_ingest

AS_OF = pd.Timestamp(FIRST_DAY).tz_localize(UTC).to_pydatetime() + timedelta(days=DAYS)
KNOWN_AT = datetime(2026, 1, 1, tzinfo=UTC)
_LABELS = 200_000
_READ = 2000  # customers per request


@dataclass(frozen=True)
class Measurement:
    """Timed calls of a work.

    Attributes:
        rows: Rows or customers that the work handles.
        run: The work.
        reference: The reference, which handles as many.
    """

    rows: int
    run: Callable[[], object]
    reference: Callable[[], object]


@dataclass(frozen=True)
class Work:
    """Work to measure.

    Attributes:
        prepare: Function from the folder of the benchmark to the timed calls.
        reference: Description of the reference.
        goal: Largest ratio of the seconds to those of the reference.
    """

    prepare: Callable[[Path], Measurement]
    reference: str
    goal: float


def _ingest(folder: Path) -> Measurement:
    source = next(folder.glob("history.*"))
    _warm_up(folder, "warm-history")
    return Measurement(
        _count_rows(source),
        lambda: run_ingest(Settings.from_environment(), source, folder / "shop.yaml", AS_OF),
        lambda: _copy_unchecked(source, folder),
    )


def _ingest_day(folder: Path) -> Measurement:
    source = next(folder.glob("day.*"))
    _warm_up(folder, "warm-day")
    return Measurement(
        _count_rows(source),
        lambda: run_ingest(Settings.from_environment(), source, folder / "shop.yaml", AS_OF + timedelta(days=1)),
        lambda: run_ingest(Settings(data=folder / "first"), source, folder / "shop.yaml", AS_OF),
    )


def _warm_up(folder: Path, name: str) -> None:
    """Ingest the small file into another data folder: the first ingest of a process imports modules."""
    run_ingest(Settings(data=folder / name), next(folder.glob("day.*")), folder / "shop.yaml", AS_OF)


def _copy_unchecked(source: Path, folder: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{source}') TO '{folder / 'copy.parquet'}' (COMPRESSION zstd)")


def _count_rows(source: Path) -> int:
    with duckdb.connect() as connection:
        return int(connection.execute(f"SELECT count(*) FROM '{source}'").fetchall()[0][0])


def _snapshots(folder: Path) -> Measurement:
    settings = Settings.from_environment()
    store = open_version(settings, find_applied_version(settings, open_store()))

    def run_queries() -> None:
        connection = ibis.duckdb.connect()
        create_source_tables(
            connection, {str(kind): scan_table(connection, settings, kind, KNOWN_AT) for kind in KINDS}, AS_OF, KNOWN_AT
        )
        for view in list_stored_views(store):
            assert view.batch_source is not None
            run_transformation(connection, view.batch_source.tags["sql"], {})
        connection.disconnect()

    rows = _count_table(settings)
    return Measurement(rows, lambda: build_snapshots(settings, store, AS_OF, KNOWN_AT), run_queries)


def _count_table(settings: Settings) -> int:
    connection = ibis.duckdb.connect()
    count: int = scan_table(connection, settings, known_at=KNOWN_AT).count().to_pyarrow().as_py()
    connection.disconnect()
    return count


def _materialize(folder: Path) -> Measurement:
    settings, version, snapshot = _find_snapshot()
    stock = open_version(settings, version, snapshot.known_at)
    stock.config.batch_engine_config = "local"
    customers = len(read_customers(snapshot))

    def materialize_with_feast() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            stock.materialize(start_date=AS_OF, end_date=AS_OF)

    return Measurement(customers, lambda: materialize(settings, version, snapshot), materialize_with_feast)


def _parity(folder: Path) -> Measurement:
    settings, version, snapshot = _find_snapshot()
    online, offline = open_version(settings, version), open_version(settings, version, snapshot.known_at)
    customers, reader = read_customers(snapshot), OnlineReader(online, FEATURE_SERVICE)

    def read_all() -> None:
        for start in range(0, len(customers), _READ):
            reader.read(customers[start : start + _READ], epoch_us(AS_OF))

    return Measurement(
        len(customers),
        lambda: require_parity(check_parity(online, offline, customers, AS_OF)),
        read_all,
    )


def _point_in_time(folder: Path) -> Measurement:
    settings, version, snapshot = _find_snapshot()
    store, rng = open_version(settings, version, snapshot.known_at), np.random.default_rng(1)
    names = rng.choice(np.array(read_customers(snapshot), dtype=object), _LABELS)
    times = pd.Series([AS_OF] * _LABELS, dtype="datetime64[us, UTC]")
    labels = pd.DataFrame({ENTITY_KEY: names, "event_timestamp": times, REQUEST_TIME: epoch_us(AS_OF)})
    views = list_stored_views(store)

    def join_with_duckdb() -> None:
        with duckdb.connect() as connection:
            connection.register("labels", labels)
            joins = ""
            for number, view in enumerate(views):
                files = sorted(snapshot_path(view, AS_OF, AS_OF).parents[1].glob("*/*.parquet"))
                create_parquet_view(connection, f"v{number}", files)
                joins += (
                    f" ASOF LEFT JOIN v{number} ON labels.customer_id = v{number}.customer_id "
                    f"AND labels.event_timestamp >= v{number}.as_of"
                )
            connection.execute(f"SELECT * FROM labels{joins}").to_arrow_table()

    return Measurement(_LABELS, lambda: join_features(store, labels), join_with_duckdb)


def _find_snapshot() -> tuple[Settings, str, Snapshot]:
    settings = Settings.from_environment()
    (version,) = list_versions(settings)
    return settings, version, build_snapshots(settings, open_version(settings, version), AS_OF, KNOWN_AT)[0]


WORKS = {
    "ingest": Work(_ingest, "DuckDB reads and writes the same file unchecked", 3.0),
    "ingest_day": Work(_ingest_day, "first ingest of the same file", 1.5),
    "snapshots": Work(_snapshots, "the queries in DuckDB alone", 1.5),
    "materialize": Work(_materialize, "Feast's own engine", 0.1),
    "parity": Work(_parity, "the read of the same customers by the service's reader", 1.5),
    "point_in_time": Work(_point_in_time, "ASOF JOIN of the same snapshots in DuckDB", 1.5),
}
