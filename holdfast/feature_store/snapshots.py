"""Feature snapshots, from which Feast reads: one Parquet file per view, ``as_of`` and ``known_at``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.pandas import DataFrameSchema

from feature_repo.settings import Settings
from feature_repo.source_hash import transformations_version
from feature_repo.transformations import BUILDERS, known_transactions
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.core.parquet_files import read_parquet_file
from holdfast.feature_store.schemas import snapshot_schema
from holdfast.ingestion.batches import Batch, list_batches, select_used
from holdfast.ingestion.tables import scan_table

_STAMP = "%Y%m%dT%H%M%S%fZ"


class NoDataError(HoldfastError):
    """No transaction was known at the requested time."""


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


def snapshot_path(
    settings: Settings, view: str, as_of: datetime, known_at: datetime, transformations: str | None = None
) -> Path:
    """Return the path of a snapshot, which may not exist yet.

    Args:
        settings: Settings with the data folder.
        view: Name of the feature view.
        as_of: Time of the snapshot.
        known_at: Effective ``known_at`` of the snapshot.
        transformations: Version of the transformations; default that of this checkout.

    Returns:
        Parquet file.
    """
    version = transformations or transformations_version()
    return settings.snapshots / view / version / _stamp(as_of) / f"{_stamp(known_at)}.parquet"


def list_known_at_times(settings: Settings, view: str, as_of: datetime) -> list[datetime]:
    """List the ``known_at`` of each existing snapshot of a view, built by the transformations of this checkout.

    Args:
        settings: Settings with the data folder.
        view: Name of the feature view.
        as_of: Time of the snapshots.

    Returns:
        Times in UTC, ascending.
    """
    files = snapshot_path(settings, view, as_of, as_of).parent.glob("*.parquet")
    return sorted(datetime.strptime(file.stem, _STAMP).replace(tzinfo=UTC) for file in files)


def build_snapshots(settings: Settings, as_of: datetime, known_at: datetime) -> list[Snapshot]:
    """Build the snapshot of every view, except existing snapshots.

    Args:
        settings: Settings with the data folder.
        as_of: Time of the snapshots.
        known_at: Latest arrival of the data.

    Returns:
        Snapshot per view.

    Raises:
        NoDataError: No transaction before ``as_of`` had arrived by ``known_at``.
    """
    effective = effective_known_at(list_batches(settings), as_of, known_at)
    connection = ibis.duckdb.connect()
    transactions = scan_table(connection, settings, known_at=effective)
    known = known_transactions(transactions, as_of, effective)
    snapshots = []
    for view, build in BUILDERS.items():
        path = snapshot_path(settings, view, as_of, effective)
        missing = not path.exists()
        if missing:
            features = build(known, as_of).order_by("customer_id").to_pyarrow()
            _view_schema(view).validate(features.to_pandas(), lazy=True)
            with replace_file(path) as temporary:
                pq.write_table(_stamped(features, as_of, effective), temporary)
        snapshots.append(Snapshot(view, as_of, effective, path, built=missing))
    connection.disconnect()
    return snapshots


def read_customers(snapshot: Snapshot) -> list[str]:
    """Read the ids of the customers in a snapshot.

    Args:
        snapshot: Existing snapshot.

    Returns:
        Customer ids, sorted.
    """
    return read_parquet_file(snapshot.path, columns=["customer_id"])["customer_id"].to_pylist()


def _view_schema(view: str) -> DataFrameSchema:
    from feature_repo import feature_views  # imports Feast

    return snapshot_schema(getattr(feature_views, view))


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
        as_of: Time of the snapshot.
        known_at: Effective ``known_at`` of the snapshot.

    Returns:
        Customer id; the first one of those who bought at the same time.

    Raises:
        NoDataError: There is no customer.
    """
    table = read_parquet_file(
        snapshot_path(settings, "customer_purchase_history", as_of, known_at),
        columns=["customer_id", "last_purchase_us"],
    ).sort_by([("last_purchase_us", "descending"), ("customer_id", "ascending")])
    customers: list[str] = table["customer_id"].to_pylist()
    require_customers(customers, as_of)
    return customers[0]
