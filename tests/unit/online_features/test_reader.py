"""Tests of the online reader with SQLite and Redis: values equal to Feast, faults, event times."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.timestamps import DAY_US, NO_TIME, epoch_us
from holdfast.feast_stores.raw_values import feast_reader
from holdfast.models.contract import model_inputs
from holdfast.online_features.reader import OnlineFeatures, OnlineReader
from holdfast.online_features.value_decoder import Fault
from tests.support.online_stores import (
    ACTIVITY,
    CUSTOMERS,
    HISTORY,
    RHYTHM,
    VIEWS,
    OnlineShop,
    as_feast_reads,
    double,
    online_shop,
    text,
)
from tests.support.small_shop import AS_OF

NOW = epoch_us(AS_OF + timedelta(hours=30, microseconds=7))
DAY = timedelta(days=1)
ON_DEMAND = [
    "days_since_last_purchase",
    "tenure_days",
    "lateness_ratio",
    "silence_share",
    "no_purchase_log_odds_40d",
    "no_purchase_log_odds_60d",
    "no_purchase_log_odds_90d",
]


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineShop]:
    """Shop with additional customers whose stored features are unusual, each a copy of c001."""
    with online_shop(request.param, tmp_path_factory.mktemp(request.param)) as shop:
        for view in VIEWS:
            shop.write(view, "null-total", **({"total_amount": None} if view == HISTORY else {}))
            shop.write(view, "null-last", **({"last_purchase_us": None} if view == HISTORY else {}))
            shop.write(view, "one-view-older", DAY if view == ACTIVITY else timedelta(0))
            for customer in ("text", "int-for-float", "float-for-int", "broken", "not-a-number", "infinite", "removed"):
                shop.write(view, customer)
        shop.write(HISTORY, "half-written")
        shop.write(ACTIVITY, "half-written", DAY)
        shop.put(HISTORY, "total_amount", "text", text("12345678"))
        shop.put(ACTIVITY, "amount_30d", "int-for-float", b"\x20\x01")
        shop.put(HISTORY, "last_purchase_us", "float-for-int", double(1.0))
        shop.put(RHYTHM, "max_gap_days", "broken", b"\xff")
        shop.put(ACTIVITY, "amount_90d", "not-a-number", double(float("nan")))
        shop.put(ACTIVITY, "amount_180d", "infinite", double(float("-inf")))
        shop.put(RHYTHM, "std_gap_days", "removed", None)
        yield shop


def names(shop: OnlineShop) -> list[str]:
    return [feature.name for feature in shop.reader.inputs]


def faults_of(shop: OnlineShop, customer: str, among: list[str] | None = None) -> dict[str, Fault]:
    """The inputs of a customer that have a fault; alone and in the middle of others the same."""
    alone = shop.reader.read([customer], NOW).faults[0]
    crowd = shop.reader.read([*CUSTOMERS[:120], customer, *CUSTOMERS[120:]], NOW)
    assert np.array_equal(crowd.faults[120], alone)
    assert not np.delete(crowd.faults, 120, axis=0).any(), "it spoilt another customer"
    return {name: Fault(fault) for name, fault in zip(names(shop), alone, strict=True) if fault}


def assert_as_feast(shop: OnlineShop, found: OnlineFeatures, ids: list[str], as_of_us: object) -> None:
    values, nulls = as_feast_reads(shop.store, ids, as_of_us)
    sound = found.faults == Fault.NONE
    assert np.array_equal(found.inputs[sound].view(np.int64), np.where(nulls, np.nan, values)[sound].view(np.int64))
    assert np.isnan(found.inputs[~sound]).all()


class TestSameAsFeast:
    def test_read_each_customer_equals_feast(self, shop: OnlineShop) -> None:
        found = shop.reader.read(CUSTOMERS, NOW)
        assert not found.faults.any()
        assert found.inputs.shape == (300, 21)
        assert_as_feast(shop, found, CUSTOMERS, NOW)
        assert (found.timestamps_us == epoch_us(AS_OF)).all()
        assert np.isfinite(found.inputs[:, names(shop).index("tenure_days")]).all()

    @pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 8, 99, 101])
    def test_read_any_number_of_customers_equals_feast(self, shop: OnlineShop, count: int) -> None:
        ids = random.Random(count).sample(CUSTOMERS, count)
        assert_as_feast(shop, shop.reader.read(ids, NOW), ids, NOW)

    def test_read_unknown_and_repeated_ids_equal_feast(self, shop: OnlineShop) -> None:
        ids = ["c007", "no-such-id", "c003", "c007", "", "Zoë ✓ " * 20, "no-such-id", "c003", "null-total"]
        found = shop.reader.read(ids, NOW)
        assert_as_feast(shop, found, ids, NOW)
        assert found.customer_ids == ids
        assert np.array_equal(found.inputs[0], found.inputs[3], equal_nan=True)

    def test_read_request_time_per_customer_equals_feast(self, shop: OnlineShop) -> None:
        times = np.array([NOW + 86_400_000_001 * i for i in range(len(CUSTOMERS))], dtype=np.int64)
        found = shop.reader.read(CUSTOMERS, times)
        assert_as_feast(shop, found, CUSTOMERS, times)
        assert np.array_equal(found.as_of_us, times)
        silence = found.inputs[:, names(shop).index("days_since_last_purchase")]
        assert len(set(silence)) == len(CUSTOMERS)

    def test_read_customer_with_one_purchase_has_null_gaps_without_fault(self, shop: OnlineShop) -> None:
        everybody = shop.reader.read(CUSTOMERS, NOW)
        rare = [CUSTOMERS[i] for i in np.flatnonzero(everybody.inputs[:, names(shop).index("purchase_days")] == 1)]
        assert rare
        found = shop.reader.read(rare, NOW)
        assert not found.faults.any()
        for name in ("mean_gap_days", "std_gap_days", "max_gap_days", "last_gap_days", "lateness_ratio"):
            assert np.isnan(found.inputs[:, names(shop).index(name)]).all()
        assert np.isfinite(found.inputs[:, names(shop).index("days_since_last_purchase")]).all()
        assert_as_feast(shop, found, rare, NOW)

    def test_reader_inputs_are_the_model_inputs(self, shop: OnlineShop) -> None:
        assert shop.reader.inputs == model_inputs(shop.store)
        assert sorted(shop.reader.views) == sorted(VIEWS)

    def test_read_no_customers_returns_no_rows(self, shop: OnlineShop) -> None:
        found = shop.reader.read([], NOW)
        assert (found.inputs.shape, found.faults.shape, found.timestamps_us.shape) == ((0, 21), (0, 21), (0, 3))

    def test_read_in_threads_returns_the_same_values(self, shop: OnlineShop) -> None:
        wanted = shop.reader.read(CUSTOMERS, NOW).inputs

        def one(seed: int) -> bool:
            rows = random.Random(seed).sample(range(300), 1 + seed % 40)
            found = shop.reader.read([CUSTOMERS[row] for row in rows], NOW)
            return np.array_equal(found.inputs, wanted[rows], equal_nan=True)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(one, range(400)))

    def test_feast_reader_returns_the_same_values(self, shop: OnlineShop) -> None:
        plan = shop.reader._plan
        slow = feast_reader(shop.store.provider.online_store, shop.store.config, plan.requests)
        ids = [*CUSTOMERS, "no-such-id", "half-written", "c001", "text", "null-total", "infinite"]
        by_view, at_once = slow(ids), shop.reader.fetch(ids)
        assert len(at_once.values) == 16
        assert [list(column) for column in by_view.values] == [list(column) for column in at_once.values]
        assert [list(column) for column in by_view.times_us] == [list(column) for column in at_once.times_us]


class TestFaults:
    def test_read_unknown_customer_is_absent_from_all_views(self, shop: OnlineShop) -> None:
        assert faults_of(shop, "no-such-id") == dict.fromkeys(names(shop), Fault.ABSENT)
        assert shop.reader.read(["no-such-id"], NOW).timestamps_us.tolist() == [[NO_TIME] * 3]

    def test_read_partly_written_customer_has_faults_of_missing_views_only(self, shop: OnlineShop) -> None:
        rhythm = [feature.name for feature in shop.reader.inputs if feature.view == RHYTHM]
        assert faults_of(shop, "half-written") == dict.fromkeys([*rhythm, *ON_DEMAND], Fault.ABSENT)
        (times,) = shop.reader.read(["half-written"], NOW).timestamps_us.tolist()
        assert dict(zip(shop.reader.views, times, strict=True)) == {
            HISTORY: epoch_us(AS_OF),
            ACTIVITY: epoch_us(AS_OF - DAY),
            RHYTHM: NO_TIME,
        }

    def test_read_older_view_has_its_own_event_time(self, shop: OnlineShop) -> None:
        found = shop.reader.read(["c000", "one-view-older"], NOW)
        assert not found.faults.any()
        older = epoch_us(AS_OF - DAY)
        assert found.timestamps_us[1].tolist() == [older if v == ACTIVITY else older + DAY_US for v in VIEWS]

    @pytest.mark.parametrize(
        ("customer", "faults"),
        [
            ("null-total", {"total_amount": Fault.NULL}),
            ("null-last", dict.fromkeys(ON_DEMAND, Fault.NULL)),
            ("text", {"total_amount": Fault.WRONG_TYPE}),
            ("int-for-float", {"amount_30d": Fault.WRONG_TYPE}),
            ("float-for-int", dict.fromkeys(ON_DEMAND, Fault.WRONG_TYPE)),
            ("broken", {"max_gap_days": Fault.WRONG_TYPE}),
            ("not-a-number", {"amount_90d": Fault.NULL}),
            ("infinite", {}),
            ("removed", {"std_gap_days": Fault.ABSENT}),
        ],
    )
    def test_read_one_invalid_value_affects_its_input_only(
        self, shop: OnlineShop, customer: str, faults: dict[str, Fault]
    ) -> None:
        assert faults_of(shop, customer) == faults
        found, sound = shop.reader.read([customer, "c001"], NOW).inputs
        same = [i for i, name in enumerate(names(shop)) if name not in faults and name != "amount_180d"]
        assert np.array_equal(found[same], sound[same], equal_nan=True)
        assert np.isnan(found[[i for i, name in enumerate(names(shop)) if name in faults]]).all()

    def test_read_unusual_values_equal_feast(self, shop: OnlineShop) -> None:
        odd = ["null-total", "not-a-number", "infinite", "removed", "one-view-older", "int-for-float"]
        assert_as_feast(shop, shop.reader.read(odd, NOW), odd, NOW)
        infinite = shop.reader.read(["infinite"], NOW).inputs[0, names(shop).index("amount_180d")]
        assert infinite == -np.inf

    def test_input_views_mask_the_sources_of_each_input(self, shop: OnlineShop) -> None:
        rests = {
            feature.name: {view for view, on in zip(shop.reader.views, row, strict=True) if on}
            for feature, row in zip(shop.reader.inputs, shop.reader.input_views, strict=True)
        }
        assert rests["total_amount"] == {HISTORY}
        assert rests["amount_30d"] == {ACTIVITY}
        assert all(rests[name] == {HISTORY, RHYTHM} for name in ON_DEMAND)


def test_read_values_written_after_creation_of_the_reader(shop: OnlineShop) -> None:
    reader = OnlineReader(shop.store, FEATURE_SERVICE)
    assert (reader.read(["newcomer"], NOW).timestamps_us == NO_TIME).all()
    for view in VIEWS:
        shop.write(view, "newcomer")
    assert not reader.read(["newcomer"], NOW).faults.any()
