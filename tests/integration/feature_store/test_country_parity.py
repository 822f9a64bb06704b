"""Parity of a feature of type String on SQLite and Redis, and the reader's codes of the same bytes."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.names import FEATURE_SERVICE
from feature_repo.timestamps import epoch_us
from holdfast.feast_stores.installation import stored_project
from holdfast.feast_stores.raw_values import entity_keys
from holdfast.feature_store.category_texts import read_category_texts
from holdfast.feature_store.parity import ParityReport, check_parity
from holdfast.feature_store.snapshots import read_customers
from holdfast.models.categories import category_code, encode_categories
from holdfast.models.contract import UnorderedFeatureError, model_inputs
from holdfast.online_features.reader import OnlineReader
from tests.support.country_shop import COUNTRIES, VIEW, use_country_shop
from tests.support.online_stores import REDIS_PROFILE
from tests.support.online_values import write_online_values
from tests.support.redis_server import temporary_redis
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, registered_store

pytestmark = pytest.mark.long

Write = Callable[[str, Value], None]
Shop = tuple[list[str], Write]


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Materialize the shop with countries; return its customers, and a function that writes a country online."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(temporary_redis()) if request.param == "redis" else None
        variables = REDIS_PROFILE | {"HOLDFAST_REDIS": server.connection_string} if server else {}
        settings = stack.enter_context(use_country_shop(folder, **variables))

        def write(customer: str, value: Value) -> None:
            if server is not None:  # Feast's Redis store writes nothing that is not later than the stored time
                server.client().hdel(
                    entity_keys([customer])[0] + stored_project(registered_store().config).encode(), f"_ts:{VIEW}"
                )
            write_online_values(customer, VIEW, {"country": value})

        yield read_customers(build_features(settings)), write


def parity(customers: list[str]) -> ParityReport:
    return check_parity(registered_store(), registered_store(KNOWN_AT), customers, AS_OF)


def test_check_parity_of_texts_finds_each_difference(shop: Shop) -> None:
    customers, write = shop
    before = parity(customers)
    assert (before.features, before.mismatches) == (22, 0)
    changes = {
        "fr-003": Value(),
        "fr-004": Value(string_val="france"),
        "em-003": Value(),
        "no-003": Value(string_val=""),
    }
    for customer, value in changes.items():
        write(customer, value)
    try:
        assert {(m.customer_id, m.online, m.offline) for m in parity(customers).examples} == {
            ("fr-003", None, "France"),
            ("fr-004", "france", "France"),
            ("em-003", None, ""),
            ("no-003", "", None),
        }
    finally:
        for customer in changes:
            country = COUNTRIES[customer[:2]][0]
            write(customer, Value() if country is None else Value(string_val=country))
    assert parity(customers).mismatches == 0


@pytest.mark.parametrize("bulk", [True, False])
def test_online_reader_returns_the_code_of_each_country(shop: Shop, bulk: bool) -> None:
    customers, _ = shop
    reader = OnlineReader(registered_store(), FEATURE_SERVICE, bulk_decoding=bulk)
    found = reader.read(customers, epoch_us(AS_OF))
    expected = encode_categories([COUNTRIES[customer[:2]][0] for customer in customers])
    assert np.array_equal(found.inputs[:, -1], expected, equal_nan=True)
    assert not found.faults.any()
    one = np.concatenate([reader.read([customer], epoch_us(AS_OF)).inputs for customer in customers[::40]])
    assert np.array_equal(one, found.inputs[::40], equal_nan=True)


def test_read_category_texts_of_latest_snapshot(shop: Shop) -> None:
    texts = read_category_texts(registered_store())
    expected = [country for country, _, _ in COUNTRIES.values() if country is not None]
    assert texts == {"country": {category_code(country): country for country in expected}}


def test_model_inputs_text_with_direction_raises(shop: Shop) -> None:
    store = registered_store()
    view = store.get_feature_view(VIEW)
    before = dict(view.tags)
    try:
        store.registry.apply_feature_view(_with_tags(view, {**before, "increasing": "country"}), store.project)
        store.refresh_registry()
        with pytest.raises(UnorderedFeatureError, match="customer_profile:country is a String, which has no order"):
            model_inputs(store)
    finally:
        store.registry.apply_feature_view(_with_tags(view, before), store.project)


def _with_tags(view: Any, tags: dict[str, str]) -> Any:
    view.tags = tags
    return view
