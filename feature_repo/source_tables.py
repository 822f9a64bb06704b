"""Source tables of the transformations, and the compilation of a transformation to SQL.

``feast apply`` stores the SQL with the data source of the feature view. A version of the definitions in use therefore
computes the same values after the code has changed.
"""

import functools
import inspect
from collections.abc import Callable

import ibis
import ibis.expr.types as ir

SNAPSHOT_TIME = "snapshot_time"  # table with one row and one column, as_of
UTC_TIMESTAMP = "timestamp('UTC', 6)"
MONEY = "decimal(38, 6)"  # sums are exact for the six decimals that ingest stores

# Table to its columns; each also has ingested_at and batch_id, which no transformation may use.
SOURCE_TABLES = {
    "transactions": {
        "customer_id": "string",
        "event_timestamp": UTC_TIMESTAMP,
        "amount": "float64",
        "quantity": "float64",
        "source": "string",
    },
    "attributes": {"customer_id": "string", "event_timestamp": UTC_TIMESTAMP, "attribute": "string", "value": "string"},
    "events": {"customer_id": "string", "event_timestamp": UTC_TIMESTAMP, "kind": "string", "value": "float64"},
}


def apply_transformation(build: Callable[..., ir.Table]) -> ir.Table:
    """Apply a transformation to source tables without data.

    Args:
        build: Function whose parameters are named after source tables and ``as_of``.

    Returns:
        Expression over the source tables and the table ``snapshot_time``, in order of customer_id.

    Raises:
        ValueError: The function has another parameter.
    """
    time = ibis.table({"as_of": UTC_TIMESTAMP}, name=SNAPSHOT_TIME)
    arguments: dict[str, ir.Expr] = {"as_of": time.as_of.as_scalar()}
    arguments |= {name: ibis.table(columns, name=name) for name, columns in SOURCE_TABLES.items()}
    names = list(inspect.signature(build).parameters)
    if unknown := [name for name in names if name not in arguments]:
        raise ValueError(
            f"The transformation {build.__name__} has the parameter {unknown[0]}; it must be one of "
            f"{', '.join(arguments)}."
        )
    return build(**{name: arguments[name] for name in names}).order_by("customer_id")


@functools.cache  # compilation takes longer than most queries, and definitions are loaded once per data folder
def transformation_sql(build: Callable[..., ir.Table]) -> str:
    """Compile a transformation to SQL for DuckDB.

    Args:
        build: Function whose parameters are named after source tables and ``as_of``.

    Returns:
        Query over the source tables and the table ``snapshot_time``, in order of customer_id.

    Raises:
        ValueError: The function has another parameter.
    """
    return str(ibis.to_sql(apply_transformation(build), "duckdb"))
