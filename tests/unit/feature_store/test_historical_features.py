"""Point-in-time join of features at one ``as_of``."""

from datetime import timedelta

import pandas as pd
import pyarrow as pa

from feature_repo.settings import Settings
from holdfast.feature_store.historical_features import ARROW_TYPES, join_features, read_features_at
from holdfast.feature_store.snapshots import build_snapshots
from holdfast.models.contract import model_inputs
from tests.support.small_shop import AS_OF, KNOWN_AT, registered_store

LIMIT = timedelta(days=30)


def test_read_features_at_keeps_the_order_of_customers(open_shop: Settings) -> None:
    ids = ["c007", "c000", "unknown", "c100"]
    found = read_features_at(registered_store(KNOWN_AT), ids, AS_OF)
    assert found["customer_id"].to_pylist() == ids
    days = found["purchase_days"].to_pylist()
    assert days[2] is None
    for position, customer in enumerate(ids):
        assert read_features_at(registered_store(KNOWN_AT), [customer], AS_OF)["purchase_days"].to_pylist() == [
            days[position]
        ]


def test_read_features_at_uses_a_snapshot_from_its_time_to_its_ttl(open_shop: Settings) -> None:
    def known(after: timedelta) -> bool:
        return read_features_at(registered_store(KNOWN_AT), ["c007"], AS_OF + after)["total_amount"].to_pylist() != [
            None
        ]

    second = timedelta(seconds=1)
    assert [known(after) for after in (-second, timedelta(0), LIMIT, LIMIT + second)] == [False, True, True, False]


def test_read_features_at_uses_the_latest_of_several_snapshots(open_shop: Settings) -> None:
    for days in (1, 20, 40):
        build_snapshots(open_shop, registered_store(), AS_OF - timedelta(days=days), KNOWN_AT)
    customers = [f"c{number:03d}" for number in range(300)]

    def spent(days: int) -> list[float]:
        return list(
            read_features_at(registered_store(KNOWN_AT), customers, AS_OF - timedelta(days=days))[
                "amount_30d"
            ].to_pylist()
        )

    assert spent(0) != spent(1) != spent(20)
    assert spent(10) == spent(20)


def test_read_features_at_of_no_customer_returns_typed_empty_columns(open_shop: Settings) -> None:
    store = registered_store(KNOWN_AT)
    found = read_features_at(store, [], AS_OF)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(found, 0)
    assert {item.name: found[item.name].type for item in model_inputs(store)} == {
        item.name: ARROW_TYPES[item.dtype] for item in model_inputs(store)
    }


def test_join_features_of_unknown_customers_has_the_declared_types(open_shop: Settings) -> None:
    store = registered_store(KNOWN_AT)
    entities = pd.DataFrame({"customer_id": ["x", "y"], "event_timestamp": AS_OF, "as_of_us": 0, "row": [7, 8]})
    joined = join_features(store, entities)
    for item in model_inputs(store):
        assert joined[item.name].null_count == 2
        assert joined.schema.field(item.name).type == ARROW_TYPES[item.dtype], item.name
    assert sorted(joined["row"].to_pylist()) == [7, 8]
    assert pa.types.is_string(joined.schema.field("customer_id").type)
