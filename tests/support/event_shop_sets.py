"""Training sets of the generated shop with events: the transformations of the product, without a feature store."""

import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from benchmarks.shops.event_shop import EventShop, generate_event_shop
from benchmarks.shops.generators import DAYS, FIRST_DAY
from feature_repo.source_features import event_counts, join_to_customers
from feature_repo.source_tables import SOURCE_TABLES, apply_transformation, transformation_sql
from feature_repo.timestamps import DAY_US, epoch_us
from feature_repo.transformations import purchase_history, recent_activity
from holdfast.feature_store.transformation_run import create_source_tables, run_transformation
from holdfast.models.contract import Feature
from holdfast.training.dataset import TrainingSet
from holdfast.training.recipe import Recipe

HORIZON, ACTIVITY = timedelta(days=90), timedelta(days=180)
_END = (FIRST_DAY + pd.Timedelta(days=DAYS)).to_pydatetime()
_MONTHS_OF_TEST = 6


def _count_view(kind: str) -> Callable[..., ir.Table]:
    def build(transactions: ir.Table, events: ir.Table, as_of: ir.TimestampScalar) -> ir.Table:
        counts = event_counts(events, as_of, kind, [30, 90])
        return join_to_customers(transactions, counts).fill_null({f"{kind}_30d": 0, f"{kind}_90d": 0})

    return build


VIEWS: dict[str, Callable[..., ir.Table]] = {
    "history": purchase_history,
    "activity": recent_activity,
    "tickets": _count_view("ticket"),
    "mails": _count_view("mail"),
}


@functools.cache
def event_training_set(seed: int, log_hazard_ratio: float) -> TrainingSet:
    """Generate a shop, and build its active customers at monthly cut-offs with their features and outcomes."""
    shop = generate_event_shop(seed, log_hazard_ratio)
    cutoffs = pd.date_range(FIRST_DAY + pd.Timedelta(days=270), _END - HORIZON, freq="MS")
    connection = ibis.duckdb.connect()
    try:
        rows = pd.concat([_rows_at(connection, shop, cutoff.to_pydatetime()) for cutoff in cutoffs])
    finally:
        connection.disconnect()
    inputs = [Feature(view, name, "Float64", False) for view, name in rows.columns if view in VIEWS]
    x = rows[[(feature.view, feature.name) for feature in inputs]].to_numpy(dtype=float)
    keys = rows["key"].reset_index(drop=True).astype({"cutoff": "datetime64[us, UTC]"})
    return TrainingSet(keys, x, rows["label", "churned"].to_numpy(dtype=bool), inputs)


def split_recipe(data: TrainingSet, family: str, params: dict[str, Any]) -> Recipe:
    """Fit on the months whose outcomes are known before the last six months, and test on those."""
    cutoffs = [cutoff.to_pydatetime() for cutoff in sorted(data.keys["cutoff"].unique())]
    test = cutoffs[-_MONTHS_OF_TEST:]
    development = [cutoff for cutoff in cutoffs if cutoff + HORIZON <= test[0]]
    return Recipe(
        family=family, params=params, calibration="none", seed=0, threshold=0.5, folds=(), digests={},
        development=tuple(development), test=tuple(test),
    )  # fmt: skip


def _rows_at(connection: Any, shop: EventShop, cutoff: datetime) -> pd.DataFrame:
    """Build the rows of a cut-off, with columns (view, feature)."""
    known = {
        "transactions": shop.transactions.assign(quantity=1.0, source=None),
        "events": shop.events.assign(value=None),
    }
    tables = {}
    for name, frame in known.items():
        rows = frame.assign(ingested_at=frame["event_timestamp"])
        schema = ibis.schema({**SOURCE_TABLES[name], "ingested_at": SOURCE_TABLES[name]["event_timestamp"]})
        tables[name] = ibis.memtable(rows[list(schema.names)], schema=schema)
    create_source_tables(connection, tables, cutoff, cutoff)
    views = {}
    for view, build in VIEWS.items():
        types = {field.name: field.type for field in apply_transformation(build).schema().to_pyarrow()}
        table = run_transformation(connection, transformation_sql(build), types).to_pandas()
        views[view] = table.set_index("customer_id")
    times = ["first_purchase_us", "last_purchase_us"]
    history = views["history"]
    views["history"] = history.assign(**{name: (epoch_us(cutoff) - history[name]) / DAY_US for name in times})
    features = pd.concat(views, axis=1)
    purchases = shop.transactions.set_index("customer_id")["event_timestamp"]
    active = purchases[(purchases >= cutoff - ACTIVITY) & (purchases < cutoff)].index.unique()
    later = purchases[(purchases >= cutoff) & (purchases < cutoff + HORIZON)].index.unique()
    rows = features.loc[sorted(active)]
    rows["key", "customer_id"], rows["key", "cutoff"] = rows.index, cutoff
    rows["label", "churned"] = ~rows.index.isin(later)
    return rows
