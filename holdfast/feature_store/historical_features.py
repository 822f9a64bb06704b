"""Point-in-time features of customers, through the feature service."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.timestamps import epoch_us


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
    table = store.get_historical_features(
        features=store.get_feature_service(FEATURE_SERVICE), entity_df=entities
    ).to_arrow()
    # Feast does not preserve the order of the requested rows.
    order = pc.index_in(pa.array(customer_ids), table[ENTITY_KEY].combine_chunks())
    return {name: table[name].take(order).combine_chunks() for name in table.column_names}
