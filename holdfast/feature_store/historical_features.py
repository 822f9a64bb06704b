"""Point-in-time features of customers, through the feature service."""

from collections.abc import Collection, Sequence
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureService, FeatureStore

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.timestamps import epoch_us
from holdfast.models.contract import Feature, declared_features, model_inputs

ARROW_TYPES = {"Int64": pa.int64(), "Float64": pa.float64(), "String": pa.string(), "Bool": pa.bool_()}


def join_features(store: FeatureStore, entities: pd.DataFrame) -> pa.Table:
    """Join the features of the feature service to rows of customers and times.

    Feast loses the type of an on-demand feature that is null in every row, and cannot join no rows at all.

    Args:
        store: Feast store, opened at the ``known_at`` of the join.
        entities: Columns customer_id, event_timestamp and as_of_us; further columns are returned unchanged.

    Returns:
        A row per row of ``entities``, in another order; each model input has its declared type.
    """
    return _join(store, store.get_feature_service(FEATURE_SERVICE), model_inputs(store), entities)


def join_unserved_features(store: FeatureStore, entities: pd.DataFrame, names: Collection[str]) -> pa.Table:
    """Join features of the registry that the feature service does not contain.

    Args:
        store: Feast store, opened at the ``known_at`` of the join.
        entities: As in :func:`join_features`.
        names: Names of features; those that no view has are left out.

    Returns:
        As of :func:`join_features`, with these features.
    """
    features = [
        feature
        for view in store.list_all_feature_views()
        for feature in declared_features(view.name, view.projection.features, view.tags)
        if feature.name in names
    ]
    if not features:
        return pa.Table.from_pandas(entities, preserve_index=False)
    return _join(store, [f"{feature.view}:{feature.name}" for feature in features], features, entities)


def _join(
    store: FeatureStore, request: FeatureService | list[str], features: Sequence[Feature], entities: pd.DataFrame
) -> pa.Table:
    if entities.empty:
        columns = {name: pa.array([], pa.string() if name == ENTITY_KEY else pa.int64()) for name in entities}
        return pa.table(columns | {feature.name: pa.array([], ARROW_TYPES[feature.dtype]) for feature in features})
    table = store.get_historical_features(features=request, entity_df=entities).to_arrow()
    for feature in features:
        position = table.schema.get_field_index(feature.name)
        if table.field(position).type == pa.null():
            table = table.set_column(position, feature.name, table[position].cast(ARROW_TYPES[feature.dtype]))
    return table


def read_features_at(store: FeatureStore, customer_ids: Sequence[str], as_of: datetime) -> dict[str, pa.Array]:
    """Read the features of customers at ``as_of``.

    Args:
        store: Feast store, opened at the ``known_at`` of a snapshot of ``as_of`` or of an earlier snapshot whose age
            the views allow.
        customer_ids: Distinct customer ids.
        as_of: Time of the features.

    Returns:
        Column name to values, in the order of ``customer_ids``.
    """
    entities = pd.DataFrame({ENTITY_KEY: customer_ids, "event_timestamp": as_of, REQUEST_TIME: epoch_us(as_of)})
    table = join_features(store, entities)
    # Feast does not preserve the order of the requested rows.
    order = pc.index_in(pa.array(customer_ids, pa.string()), table[ENTITY_KEY].combine_chunks())
    return {name: table[name].take(order).combine_chunks() for name in table.column_names}
