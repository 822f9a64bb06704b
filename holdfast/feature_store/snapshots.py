"""Feature snapshots, from which Feast reads: one Parquet file per view, ``as_of`` and ``known_at``.

A view runs the SQL that is stored with its data source, and the folder of the source is named after that SQL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore, FeatureView, FileSource

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from feature_repo.snapshot_view import snapshot_digest
from feature_repo.transformations import known_rows
from holdfast.core.atomic_files import replace_file
from holdfast.core.definition_hashes import list_stored_views
from holdfast.core.errors import HoldfastError
from holdfast.core.parquet_files import read_parquet_file
from holdfast.feature_store.historical_features import ARROW_TYPES
from holdfast.feature_store.schemas import snapshot_schema
from holdfast.feature_store.transformation_run import create_source_tables, run_transformation
from holdfast.ingestion.batches import Batch, list_batches, select_used
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.tables import scan_table

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_STAMP = "%Y%m%dT%H%M%S%fZ"


class NoDataError(HoldfastError):
    """No transaction was known at the requested time."""


class NoTransformationError(HoldfastError):
    """Feature view without a transformation."""


@dataclass(frozen=True)
class Snapshot:
    """Features of one view for every customer known by ``as_of``, from data that had arrived by ``known_at``.

    Attributes:
        built: False when the file existed already; a snapshot never changes.
    """

    view: str
    as_of: datetime
    known_at: datetime
    path: Path
    built: bool


def effective_known_at(batches: Sequence[Batch], as_of: datetime, known_at: datetime) -> datetime:
    """Compute the arrival of the last batch, of any kind of source, that affects a snapshot.

    Batches whose events all lie at or after ``as_of`` do not affect the snapshot, so tomorrow's data does not
    invalidate yesterday's snapshots. A correction affects it where an added or a replaced row lies before ``as_of``.

    Args:
        batches: Stored batches.
        as_of: Time of the snapshot.
        known_at: Latest arrival of the data.

    Returns:
        Arrival time of a batch.

    Raises:
        NoDataError: No batch of transactions affects the snapshot.
    """
    if not select_used([batch for batch in batches if batch.kind == "transactions"], as_of, known_at):
        raise NoDataError(
            f"No transaction before {as_of:%Y-%m-%d %H:%M} UTC had arrived by {known_at:%Y-%m-%d %H:%M} UTC. "
            "Ingest data first (python -m flows.ingest), or choose a later as_of or known_at."
        )
    changes = [(batch.ingested_at, batch.first_change or batch.first_event) for batch in batches]
    return max(arrival for arrival, first in changes if arrival <= known_at and first is not None and first < as_of)


def snapshot_path(view: FeatureView, as_of: datetime, known_at: datetime) -> Path:
    """Return the path of a snapshot, which may not exist yet.

    Args:
        view: Feature view, from Feast's registry.
        as_of: Time of the snapshot.
        known_at: Effective ``known_at`` of the snapshot.

    Returns:
        Parquet file.
    """
    return Path(_source(view).path) / _stamp(as_of) / f"{_stamp(known_at)}.parquet"


def list_known_at_times(view: FeatureView, as_of: datetime) -> list[datetime]:
    """List the ``known_at`` of each existing snapshot of a view.

    Args:
        view: Feature view, from Feast's registry.
        as_of: Time of the snapshots.

    Returns:
        Times in UTC, ascending.
    """
    files = snapshot_path(view, as_of, as_of).parent.glob("*.parquet")
    return sorted(datetime.strptime(file.stem, _STAMP).replace(tzinfo=UTC) for file in files)


def build_snapshots(settings: Settings, store: FeatureStore, as_of: datetime, known_at: datetime) -> list[Snapshot]:
    """Build the snapshot of every stored view of the feature service, except existing snapshots.

    Args:
        settings: Settings with the data folder.
        store: Feast store of the definitions.
        as_of: Time of the snapshots.
        known_at: Latest arrival of the data.

    Returns:
        Snapshot per view.

    Raises:
        NoDataError: No transaction before ``as_of`` had arrived by ``known_at``.
    """
    effective = effective_known_at(list_batches(settings), as_of, known_at)
    views = {snapshot_path(view, as_of, effective): view for view in list_stored_views(store)}
    if missing := {path: view for path, view in views.items() if not path.exists()}:
        _write_snapshots(settings, missing, as_of, effective)
    return [Snapshot(view.name, as_of, effective, path, built=path in missing) for path, view in views.items()]


def _write_snapshots(
    settings: Settings, views: Mapping[Path, FeatureView], as_of: datetime, known_at: datetime
) -> None:
    connection = ibis.duckdb.connect()
    try:
        tables = {str(kind): scan_table(connection, settings, kind, known_at) for kind in KINDS}
        create_source_tables(connection, tables, as_of, known_at)
        for path, view in views.items():
            with replace_file(path) as temporary:
                pq.write_table(_stamped(_compute_view(connection, view), as_of, known_at), temporary)
    finally:
        connection.disconnect()


def _compute_view(connection: "Backend", view: FeatureView) -> pa.Table:
    """Run the SQL of a view, and check and convert the result to the types of the view."""
    types = {ENTITY_KEY: pa.string()} | {field.name: ARROW_TYPES[str(field.dtype)] for field in view.features}
    features = run_transformation(connection, _source(view).tags["sql"], types)
    snapshot_schema(view).validate(features.to_pandas(), lazy=True)
    return features


def _source(view: FeatureView) -> FileSource:
    """Return the data source of a view.

    Raises:
        NoTransformationError: The source has no compiled transformation.
    """
    source = view.batch_source
    if not isinstance(source, FileSource) or "sql" not in source.tags:
        raise NoTransformationError(
            f"The data source of the feature view {view.name} has no tag sql, so that its snapshots cannot be built. "
            "Create the source as in feature_repo/data_sources.py, and run `feast -c feature_repo apply`."
        )
    if snapshot_digest(view, source.tags["sql"]) != Path(source.path).name:
        raise NoTransformationError(
            f"The SQL of the feature view {view.name} is not the one that the folder of its snapshots, {source.path}, "
            "is named after: the registry was changed by other means. It is not executed. Restore the registry, or "
            "delete it and run `python -m flows.features`."
        )
    return source


def read_customers(snapshot: Snapshot) -> list[str]:
    """Read the ids of the customers in a snapshot.

    Args:
        snapshot: Existing snapshot.

    Returns:
        Customer ids, sorted.
    """
    return read_parquet_file(snapshot.path, columns=["customer_id"])["customer_id"].to_pylist()


def _stamped(features: pa.Table, as_of: datetime, known_at: datetime) -> pa.Table:
    utc = pa.timestamp("us", "UTC")  # microseconds: Feast's DuckDB store fails on nanoseconds
    for name, value in (("as_of", as_of), ("known_at", known_at)):
        features = features.append_column(name, pa.repeat(pa.scalar(value, utc), features.num_rows))
    return features


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime(_STAMP)


def require_customers(customers: Sequence[str], as_of: datetime) -> None:
    """Check that a snapshot has customers; without any, no feature can be stored, compared or served.

    Args:
        customers: Ids of the customers in the snapshot.
        as_of: Time of the snapshot.

    Raises:
        NoDataError: There is no customer.
    """
    if not customers:
        raise NoDataError(
            f"No customer made a purchase before {as_of:%Y-%m-%d %H:%M} UTC: every known transaction is a return (its "
            "amount is below 0). Check the sign of the amounts and `cancellation` in the mapping (docs/ingest.md), or "
            "ingest purchases."
        )


def find_recent_customer(settings: Settings, as_of: datetime, known_at: datetime) -> str:
    """Find a customer with the latest purchase before ``as_of``, active or not.

    Args:
        settings: Settings with the data folder.
        as_of: Latest time of the purchase.
        known_at: Latest arrival of the data.

    Returns:
        Customer id; the first one of those who bought at the same time.

    Raises:
        NoDataError: There is no customer.
    """
    connection = ibis.duckdb.connect()
    try:
        rows = scan_table(connection, settings, known_at=known_at)
        purchases = known_rows(rows, as_of, known_at).filter(lambda row: row.amount > 0)
        latest = purchases.group_by("customer_id").aggregate(time=purchases.event_timestamp.max())
        first = latest.order_by(latest.time.desc(), latest.customer_id).limit(1)
        customers: list[str] = first.to_pyarrow()["customer_id"].to_pylist()
    finally:
        connection.disconnect()
    require_customers(customers, as_of)
    return customers[0]
