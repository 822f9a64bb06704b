"""Parity: no mismatch after materialization, and every injected difference is reported."""

import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from feature_repo.timestamps import epoch_us
from holdfast.feature_store.bit_comparison import compare_bits, find_different_bits
from holdfast.feature_store.parity import (
    ParityError,
    ParityReport,
    check_parity,
    require_parity,
)
from holdfast.feature_store.snapshots import read_customers
from holdfast.models.contract import model_inputs
from holdfast.online_features.reader import OnlineReader
from tests.support import feature_oracle
from tests.support.definition_versions import version_files
from tests.support.online_values import HISTORY, write_online_values
from tests.support.small_shop import (
    AS_OF,
    KNOWN_AT,
    build_features,
    copy_shop,
    registered_store,
    transactions,
    use_data_folder,
)

ACTIVITY, RHYTHM = "customer_recent_activity", "customer_purchase_rhythm"
_KNOWN = {view: build(transactions(), AS_OF) for view, build in feature_oracle.FEATURES.items()}
REGULAR = next(c for c, v in _KNOWN[ACTIVITY].items() if v["purchase_days_30d"] > 1)
QUIET = next(c for c, v in _KNOWN[ACTIVITY].items() if v["amount_30d"] == 0.0 and v["purchase_days_180d"] > 1)
SINGLE = next(c for c, v in _KNOWN[RHYTHM].items() if v["mean_gap_days"] is None)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, list[str]]]:
    """Materialize a shop for this module; return its settings and customers."""
    with use_data_folder(copy_shop(tmp_path_factory.mktemp("parity"))) as settings:
        customers = read_customers(build_features(settings))
        shutil.copy(version_files(settings.data) / "online_store.db", version_files(settings.data) / "clean.db")
        yield settings, customers


@pytest.fixture
def check(clean: tuple[Settings, list[str]]) -> Callable[[], ParityReport]:
    """Compare all values, starting from a copy of the materialized online store."""
    settings, customers = clean
    shutil.copy(version_files(settings.data) / "clean.db", version_files(settings.data) / "online_store.db")
    return lambda: check_parity(registered_store(), registered_store(KNOWN_AT), customers, AS_OF)


def _found(report: ParityReport) -> list[tuple[str, str, str, str]]:
    return [(m.customer_id, m.feature, repr(m.online), repr(m.offline)) for m in report.examples]


class TestEqualStores:
    def test_check_parity_counts_every_customer_and_feature(self, check: Callable[[], ParityReport]) -> None:
        report = check()
        features = len(model_inputs(registered_store()))
        assert (report.customers, report.features) == (300, features) == (300, 21)
        assert report.values_compared == 300 * features
        assert report.mismatches == 0
        assert report.examples == []
        require_parity(report)

    @pytest.mark.parametrize("chunk", [1, 7, 300, 301])
    def test_check_parity_does_not_depend_on_the_chunk_size(
        self, clean: tuple[Settings, list[str]], check: Callable[..., Any], chunk: int
    ) -> None:
        write_online_values("c011", HISTORY, {"total_amount": Value(double_val=-1.5)})
        customers = ["c250", "c011", "c000", *[f"c{n:03d}" for n in range(20, 30)]]  # in no order
        report = check_parity(registered_store(), registered_store(KNOWN_AT), customers, AS_OF, chunk)
        assert report.values_compared == len(customers) * 21
        assert [(m.customer_id, m.feature, m.online) for m in report.examples] == [
            ("c011", f"{HISTORY}:total_amount", -1.5)
        ]


def _value(view: str, customer: str, feature: str) -> Any:
    return _KNOWN[view][customer][feature]


_TOTAL = _value(HISTORY, REGULAR, "total_amount")
_DAYS = _value(ACTIVITY, REGULAR, "purchase_days_90d")
DIFFERENCES: dict[str, tuple[str, str, str, Value, Any, Any]] = {
    "one bit": (
        REGULAR,
        HISTORY,
        "total_amount",
        Value(double_val=math.nextafter(_TOTAL, math.inf)),
        math.nextafter(_TOTAL, math.inf),
        _TOTAL,
    ),
    "null for a value": (REGULAR, HISTORY, "total_amount", Value(), None, _TOTAL),
    "a value for null": (SINGLE, RHYTHM, "std_gap_days", Value(double_val=0.0), 0.0, None),
    "NaN for null": (SINGLE, RHYTHM, "std_gap_days", Value(double_val=math.nan), math.nan, None),
    "minus zero": (QUIET, ACTIVITY, "amount_30d", Value(double_val=-0.0), -0.0, 0.0),
    "one more": (REGULAR, ACTIVITY, "purchase_days_90d", Value(int64_val=_DAYS + 1), _DAYS + 1, _DAYS),
}


class TestDifferentStores:
    @pytest.mark.parametrize("name", DIFFERENCES)
    def test_changed_value_is_reported(self, check: Callable[[], ParityReport], name: str) -> None:
        customer, view, feature, value, online, offline = DIFFERENCES[name]
        write_online_values(customer, view, {feature: value})
        report = check()
        assert _found(report) == [(customer, f"{view}:{feature}", repr(online), repr(offline))]
        assert report.mismatches == 1
        with pytest.raises(ParityError) as error:
            require_parity(report)
        for part in (f"customer {customer}", f"{view}:{feature}", f"online {online!r}", f"offline {offline!r}"):
            assert part in str(error.value)
        assert f"UTC in 1 of {report.values_compared:,} values." in str(error.value)

    def test_integer_of_a_float_feature_is_reported(self, check: Callable[[], ParityReport]) -> None:
        write_online_values(QUIET, ACTIVITY, {"amount_30d": Value(int64_val=0)})
        assert (QUIET, f"{ACTIVITY}:amount_30d") in [(m.customer_id, m.feature) for m in check().examples]

    def test_float_of_an_integer_feature_is_reported(self, check: Callable[[], ParityReport]) -> None:
        write_online_values(
            "c000", HISTORY, {"purchase_days": Value(double_val=float(_value(HISTORY, "c000", "purchase_days")))}
        )
        report = check()
        assert report.mismatches > 0
        assert ("c000", f"{HISTORY}:purchase_days") in [(m.customer_id, m.feature) for m in report.examples]

    def test_changed_time_is_reported_for_derived_features(self, check: Callable[[], ParityReport]) -> None:
        last = _value(HISTORY, REGULAR, "last_purchase_us")
        write_online_values(REGULAR, HISTORY, {"last_purchase_us": Value(int64_val=last - 1)})
        found = {(m.customer_id, m.feature) for m in check().examples}
        assert (REGULAR, "customer_request_time:days_since_last_purchase") in found
        assert {customer for customer, _ in found} == {REGULAR}

    def test_swapped_customers_are_reported(self, check: Callable[[], ParityReport]) -> None:
        regular = _KNOWN[ACTIVITY][REGULAR]
        types = {int: "int64_val", float: "double_val"}
        write_online_values(
            QUIET, ACTIVITY, {name: Value(**{types[type(value)]: value}) for name, value in regular.items()}
        )
        report = check()
        differing = {name for name, value in regular.items() if value != _KNOWN[ACTIVITY][QUIET][name]}
        assert {(m.customer_id, m.feature) for m in report.examples} == {
            (QUIET, f"{ACTIVITY}:{name}") for name in differing
        }
        assert report.mismatches == len(differing) >= 4

    def test_missing_customer_is_reported(self, clean: tuple[Settings, list[str]], check: Callable[[], Any]) -> None:
        key = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=REGULAR)])
        with sqlite3.connect(version_files(clean[0].data) / "online_store.db") as connection:
            table = f"{registered_store().project}_{ACTIVITY}"
            removed = connection.execute(f"DELETE FROM {table} WHERE entity_key = ?", (serialize_entity_key(key, 3),))
            assert removed.rowcount == 7
        connection.close()
        report = check()
        assert report.mismatches == 7
        assert {(m.customer_id, m.online) for m in report.examples} == {(REGULAR, None)}

    def test_report_counts_all_mismatches_and_lists_twenty(self, check: Callable[[], ParityReport]) -> None:
        for n in range(30):
            write_online_values(f"c{n:03d}", HISTORY, {"total_amount": Value(double_val=-1.0)})
        report = check()
        assert report.mismatches == 30
        assert len(report.examples) == 20
        with pytest.raises(ParityError, match=r"30 of 6,300 values.*The first 20:"):
            require_parity(report)

    def test_difference_that_the_reader_hides_is_found_through_feast(
        self, check: Callable[[], Any], clean: tuple[Settings, list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hidden = {
            customer_id: OnlineReader(registered_store(), FEATURE_SERVICE).read_values([customer_id], epoch_us(AS_OF))
            for customer_id in clean[1][:1]
        }
        read = OnlineReader.read_values

        def read_old(self: OnlineReader, customer_ids: list[str], as_of_us: int) -> Any:
            values, faults = read(self, customer_ids, as_of_us)
            for customer_id, (old, _) in hidden.items():
                position = customer_ids.index(customer_id)
                values = [
                    [*column[:position], *known, *column[position + 1 :]]
                    for column, known in zip(values, old, strict=True)
                ]
            return values, faults

        monkeypatch.setattr(OnlineReader, "read_values", read_old)
        assert check().mismatches == 0
        write_online_values(clean[1][0], HISTORY, {"total_amount": Value(double_val=-1.5)})
        assert [(m.customer_id, m.online) for m in check().examples] == [(clean[1][0], -1.5)]

    def test_values_of_another_time_are_reported(
        self, check: Callable[..., Any], clean: tuple[Settings, list[str]]
    ) -> None:
        later = AS_OF + timedelta(days=40)  # beyond the ttl the offline store knows nothing, the online one does
        report = check_parity(registered_store(), registered_store(KNOWN_AT), clean[1][:5], later)
        assert report.mismatches > 0


def test_epoch_us_is_in_microseconds() -> None:
    assert epoch_us(AS_OF) == feature_oracle.microseconds(AS_OF)
    assert epoch_us(AS_OF + feature_oracle.MICROSECOND) == feature_oracle.microseconds(AS_OF) + 1
    assert epoch_us(AS_OF.astimezone(timezone(timedelta(hours=5)))) == feature_oracle.microseconds(AS_OF)


class TestCompareBits:
    @pytest.mark.parametrize(
        ("left", "right", "expected"),
        [
            (pa.array([1.0, None, math.nan]), pa.array([1.0, None, math.nan]), [False, False, False]),
            (pa.array([math.nan, None]), pa.array([None, math.nan], pa.float64()), [True, True]),
            (pa.array([0.0, -0.0]), pa.array([-0.0, -0.0]), [True, False]),
            (pa.array([None, 0.0]), pa.array([0.0, None]), [True, True]),
            (pa.array([1, 2]), pa.array([1.0, 2.0]), [True, True]),
            (pa.array([1, None]), pa.array([1, 0]), [False, True]),
            (pa.array(["a", None, ""]), pa.array(["a", "", None]), [False, True, True]),
            (pa.array([True, None]), pa.array([True, False]), [False, True]),
            (pa.array([0.1 + 0.2]), pa.array([0.3]), [True]),
            (pa.array([], pa.float64()), pa.array([], pa.float64()), []),
        ],
    )
    def test_different_bits_or_nulls_differ(self, left: pa.Array, right: pa.Array, expected: list[bool]) -> None:
        assert compare_bits(left, right).tolist() == expected
        assert compare_bits(right, left).tolist() == expected

    def test_different_nan_payloads_differ(self) -> None:
        one, other = np.array([0x7FF8000000000000, 0x7FF8000000000001], dtype=np.int64).view(np.float64)
        assert compare_bits(pa.array([one]), pa.array([other])).tolist() == [True]

    @pytest.mark.parametrize(
        ("values", "expected", "dtype", "different"),
        [
            ([None, None], pa.array([None, None], pa.float64()), "Float64", [False, False]),
            ([None, None], pa.array([None, 1], pa.int64()), "Int64", [False, True]),
            ([1, 1.0, None], pa.array([1.0, 1.0, None]), "Float64", [True, False, False]),
            ([1.0, 1, True], pa.array([1, 1, 1]), "Int64", [True, False, True]),
            (["a", 1, b"a"], pa.array(["a", "1", "a"]), "String", [False, True, True]),
            ([True, 1, 0.0], pa.array([True, True, False]), "Bool", [False, True, True]),
            ([math.nan, -0.0], pa.array([math.nan, 0.0]), "Float64", [False, True]),
        ],
    )
    def test_values_of_another_type_differ(
        self, values: list[Any], expected: pa.Array, dtype: str, different: list[bool]
    ) -> None:
        assert find_different_bits(values, expected, dtype).tolist() == different


def test_copied_store_is_not_empty(clean: tuple[Settings, list[str]]) -> None:
    assert Path(version_files(clean[0].data) / "clean.db").stat().st_size > 0
