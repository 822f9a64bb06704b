"""Tests of read plans: supported and unsupported feature services, in Feast's own store."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String

from feature_repo.names import ENTITY_KEY, REQUEST_TIME
from feature_repo.timestamps import epoch_us
from holdfast.feast_stores._feast_imports import FeatureStore, RepoConfig
from holdfast.feast_stores.stored_functions import approve_sources
from holdfast.models.categories import encode_categories
from holdfast.models.contract import Feature
from holdfast.online_features.read_plan import UnreadableServiceError
from holdfast.online_features.reader import OnlineReader
from holdfast.online_features.value_decoder import Fault

AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
NOW = epoch_us(AS_OF) + 5_000_000
customer = Entity(name="customer", join_keys=[ENTITY_KEY], value_type=ValueType.STRING)
shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
number = Entity(name="number", join_keys=["customer_number"], value_type=ValueType.INT64)
request_time = RequestSource(name="request_time", schema=[Field(name=REQUEST_TIME, dtype=Int64)])
request_shop = RequestSource(name="request_shop", schema=[Field(name="shop", dtype=Int64)])


def view(name: str, *fields: Field, entities: list[Entity] | None = None, **tags: str) -> FeatureView:
    keys = entities or [customer]
    types = {"customer_number": Int64}
    return FeatureView(
        name=name,
        entities=keys,
        schema=[*(Field(name=key.join_key, dtype=types.get(key.join_key, String)) for key in keys), *fields],
        source=FileSource(name=f"{name}_source", path=f"{name}.parquet", timestamp_field="at"),
        ttl=timedelta(days=1),
        tags=tags,
    )


kinds = view(
    "kinds",
    Field(name="big", dtype=Int64),
    Field(name="small", dtype=Int32),
    Field(name="single", dtype=Float32),
    Field(name="flag", dtype=Bool),
    nullable="flag",
)
hidden = view("hidden", Field(name="visited_us", dtype=Int64), Field(name="unused", dtype=Float64))
words = view("words", Field(name="word", dtype=String), Field(name="note", dtype=String), nullable="note")


def seconds_since(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    pairs = zip(inputs["as_of_us"], inputs["visited_us"], strict=True)
    return {"seconds": [(now - calls) / 1_000_000 for now, calls in pairs]}


def on_demand(function: Callable[..., Any] = seconds_since, **options: Any) -> Any:
    given: dict[str, Any] = {
        "name": "computed",
        "entities": [customer],
        "sources": [hidden[["visited_us"]], request_time],
        "schema": [Field(name="seconds", dtype=Float64)],
        "mode": "python",
    }
    function.__module__ = __name__  # Feast changes it, and then does not find its source a second time
    return on_demand_feature_view(**given | options)(function)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Empty feature store of Feast's own classes."""
    return FeatureStore(
        config=RepoConfig(
            project="other",
            registry=str(tmp_path / "registry.db"),
            provider="local",
            online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
            offline_store={"type": "dask"},
            entity_key_serialization_version=3,
        )
    )


def reader_of(store: FeatureStore, *views: Any, also: tuple[Any, ...] = ()) -> OnlineReader:
    entities, plain = [customer, shop, number], [item for item in (*views, *also) if isinstance(item, FeatureView)]
    computed = [item for item in views if not isinstance(item, FeatureView)]
    approve_sources(item.feature_transformation.udf_string for item in computed)
    store.apply([*entities, *plain, *computed, FeatureService(name="service", features=list(views))])
    return OnlineReader(store, "service")


def test_reader_each_numeric_type_equals_feast(store: FeatureStore) -> None:
    reader = reader_of(store, kinds)
    rows = {
        "a": (2**53 + 1, -7, 0.1, True),
        "b": (-(2**63), 2**31 - 1, float("inf"), None),
        "c": (0, 0, -0.0, False),
    }
    for id_, (big, small, single, flag) in rows.items():
        frame = pd.DataFrame({ENTITY_KEY: [id_], "big": [big], "small": [small], "single": [single], "flag": [flag]})
        store.write_to_online_store("kinds", frame.assign(at=pd.Timestamp(AS_OF)))
    found = reader.read([*rows, "no-such-id"], NOW)
    feasts = store.get_online_features(
        features=store.get_feature_service("service"), entity_rows=[{ENTITY_KEY: id_} for id_ in rows]
    ).to_dict()
    wanted = np.array([feasts[name] for name in ("big", "small", "single", "flag")], dtype=np.float64).T
    assert found.inputs[:3].tobytes() == wanted.tobytes()
    assert found.faults.tolist() == [[Fault.NONE] * 4] * 3 + [[Fault.ABSENT] * 4]
    assert reader.inputs[0] == Feature("kinds", "big", "Int64", nullable=False)
    assert reader.inputs[3] == Feature("kinds", "flag", "Bool", nullable=True)


def test_reader_view_of_computed_features_only_has_an_event_time(store: FeatureStore) -> None:
    reader = reader_of(store, on_demand(), also=(hidden,))
    frame = pd.DataFrame({ENTITY_KEY: ["a"], "visited_us": [NOW - 90_000_000], "unused": [1.0]})
    store.write_to_online_store("hidden", frame.assign(at=pd.Timestamp(AS_OF)))
    found = reader.read(["a"], NOW)
    assert (reader.views, [item.fields for item in reader._plan.requests]) == (["hidden"], [("visited_us",)])
    assert found.inputs.tolist() == [[90.0]]
    assert found.timestamps_us.tolist() == [[epoch_us(AS_OF)]]
    assert reader.input_views.tolist() == [[True]]


def test_reader_transformation_receives_declared_fields_of_customers_without_fault(store: FeatureStore) -> None:
    calls: list[dict[str, list[Any]]] = []
    reader = reader_of(store, on_demand(), also=(hidden,))
    (computed,) = reader._plan.on_demand
    function = computed.view.feature_transformation.udf
    computed.view.feature_transformation.udf = lambda inputs: (calls.append(inputs), function(inputs))[1]
    frame = pd.DataFrame({ENTITY_KEY: ["a", "b"], "visited_us": [7, 8], "unused": [1.0, 2.0]})
    store.write_to_online_store("hidden", frame.assign(at=pd.Timestamp(AS_OF)))
    found = reader.read(["no-such-id", "b", "a"], np.array([1, 2, 3]))
    (inputs,) = calls
    values = {name: inputs[name] for name in (ENTITY_KEY, REQUEST_TIME, "visited_us")}
    assert values == {ENTITY_KEY: ["b", "a"], REQUEST_TIME: [2, 3], "visited_us": [8, 7]}
    assert {type(value) for name in (REQUEST_TIME, "visited_us") for value in inputs[name]} == {int}
    assert set(inputs) - set(values) <= {"hidden__visited_us"}
    assert found.faults[:, 0].tolist() == [Fault.ABSENT, Fault.NONE, Fault.NONE]
    assert found.inputs[1:, 0].tolist() == [-6e-06, -4e-06]


def nothing_and_no_number(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {"seconds": [1.0, None, float("nan")][: len(inputs["visited_us"])]}


@pytest.mark.parametrize(("nullable", "fault"), [("", Fault.NULL), ("seconds", Fault.NONE)])
def test_reader_computed_null_is_a_fault_unless_nullable(store: FeatureStore, nullable: str, fault: Fault) -> None:
    reader = reader_of(store, on_demand(nothing_and_no_number, tags={"nullable": nullable}), also=(hidden,))
    for id_ in ("a", "b", "c"):
        frame = pd.DataFrame({ENTITY_KEY: [id_], "visited_us": [7], "unused": [1.0]})
        store.write_to_online_store("hidden", frame.assign(at=pd.Timestamp(AS_OF)))
    found = reader.read(["a", "b", "c"], NOW)
    assert found.faults.tolist() == [[Fault.NONE], [fault], [fault]]
    assert found.inputs[0] == 1.0
    assert np.isnan(found.inputs[1:]).all()


def test_reader_transformation_error_is_raised(store: FeatureStore) -> None:
    reader = reader_of(store, on_demand(), also=(hidden,))
    frame = pd.DataFrame({ENTITY_KEY: ["a"], "visited_us": pd.array([None], dtype="Int64"), "unused": [1.0]})
    store.write_to_online_store("hidden", frame.assign(at=pd.Timestamp(AS_OF)))
    assert reader.read(["a"], NOW).faults.tolist() == [[Fault.NULL]]
    (computed,) = reader._plan.on_demand
    computed.view.feature_transformation.udf = lambda inputs: {"seconds": [1 / 0]}
    store.write_to_online_store("hidden", frame.assign(visited_us=[3], at=pd.Timestamp(AS_OF + timedelta(1))))
    with pytest.raises(ZeroDivisionError):
        reader.read(["a"], NOW)


def shouts(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {"loud": [word.upper() for word in inputs["word"]]}


@pytest.mark.parametrize("count", [1, 3, 200])
def test_reader_text_is_its_code(store: FeatureStore, count: int) -> None:
    loud = on_demand(shouts, sources=[words[["word"]]], schema=[Field(name="loud", dtype=String)])
    reader = reader_of(store, words, loud)
    texts = ["", "Österreich", "中国", "x" * 100, "a\x00b"]
    ids = [f"c{i}" for i in range(count)]
    written = [texts[i % len(texts)] for i in range(count)]
    frame = pd.DataFrame({ENTITY_KEY: ids, "word": written, "note": [None if i % 2 else "x" for i in range(count)]})
    store.write_to_online_store("words", frame.assign(at=pd.Timestamp(AS_OF)))
    found = reader.read([*ids, "unknown"], NOW)
    assert [feature.name for feature in reader.inputs] == ["word", "note", "loud"]
    assert np.array_equal(found.inputs[:-1, 0], encode_categories(written))
    assert np.array_equal(found.inputs[:-1, 2], encode_categories([text.upper() for text in written]))
    assert np.isnan(found.inputs[:-1, 1]).tolist() == [bool(i % 2) for i in range(count)]
    assert not found.faults[:-1].any()
    assert found.faults[-1].tolist() == [Fault.ABSENT] * 3


def test_reader_null_text_is_a_fault_unless_nullable(store: FeatureStore) -> None:
    reader = reader_of(store, words)
    frame = pd.DataFrame({ENTITY_KEY: ["a"], "word": [None], "note": ["x"]})
    store.write_to_online_store("words", frame.assign(at=pd.Timestamp(AS_OF)))
    assert reader.read(["a"], NOW).faults.tolist() == [[Fault.NULL, Fault.NONE]]


_WITH_OTHER_REQUEST_FIELD = {"sources": [hidden[["visited_us"]], request_shop], "name": "computed"}


@pytest.mark.parametrize(
    ("views", "also", "reason"),
    [
        (
            [view("lists", Field(name="words", dtype=Array(String)))],
            [],
            r"lists:words is a Array\(String\); model inputs must be numbers or texts",
        ),
        ([view("of_shops", Field(name="x", dtype=Int64), entities=[shop])], [], r"keys \[\('shop_id', 'String'\)\]"),
        ([view("of_both", Field(name="x", dtype=Int64), entities=[customer, shop])], [], "supports only customer_id"),
        ([view("numbered", Field(name="x", dtype=Int64), entities=[number])], [], r"'customer_number', 'Int64'"),
        ([kinds.with_join_key_map({ENTITY_KEY: "friend_id"})], [], "Feature view kinds has the keys"),
        ([on_demand(lambda inputs: {"seconds": 1.0}, singleton=True)], [hidden], "must be in Python mode over lists"),
        ([on_demand(lambda frame: frame, mode="pandas")], [hidden], "must be in Python mode over lists"),
        (
            [on_demand(lambda inputs: {"seconds": [1.0]}, **_WITH_OTHER_REQUEST_FIELD)],
            [hidden],
            "requires the request fields shop",
        ),
        (
            [on_demand(write_to_online_store=True)],
            [hidden],
            "in Python mode over lists and computed at the request",
        ),
    ],
)
def test_build_read_plan_unsupported_service_raises(
    store: FeatureStore, views: list[Any], also: list[Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = {item.name: item for item in (*views, *also)}
    service = FeatureService(name="service", features=views)
    monkeypatch.setattr(store.registry, "get_feature_service", lambda name, project, allow_cache: service)
    monkeypatch.setattr(store.registry, "get_any_feature_view", lambda name, project, allow_cache: objects[name])
    with pytest.raises(UnreadableServiceError, match=reason):
        OnlineReader(store, "service")


def test_build_read_plan_other_key_serialization_raises(store: FeatureStore) -> None:
    reader_of(store, kinds)
    store.config.entity_key_serialization_version = 2
    with pytest.raises(UnreadableServiceError, match="entity_key_serialization_version 3 only"):
        OnlineReader(store, "service")
