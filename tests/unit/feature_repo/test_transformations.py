"""Tests of transformations against the oracle, and of their invariances."""

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureView
from feast.types import Float64, Int64, String
from hypothesis import given
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from feature_repo import feature_views
from feature_repo.timestamps import DAY_US
from feature_repo.transformations import BUILDERS
from tests.support import feature_oracle
from tests.support.feature_oracle import MICROSECOND, Transaction, Values
from tests.support.strategies import (
    CUSTOMERS,
    EXAMPLES,
    FEWER_EXAMPLES,
    Case,
    amounts,
    arrow_table,
    bits,
    cases,
    event_times,
    table,
)
from tests.support.transformations import run_builder, run_builders

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
NAMES = list(BUILDERS)

# Each value is rounded correctly and equal to the bit, but for a square root followed by a division.
_ULPS = {"std_gap_days": 2}

Build = Callable[..., list[Values]]
BuildAll = Callable[[Case], dict[str, list[Values]]]


@pytest.fixture(scope="module")
def connection() -> Backend:
    return ibis.duckdb.connect()


@pytest.fixture(scope="module")
def build(connection: Backend) -> Build:
    """Builds one feature table from plain rows, as the snapshots are built."""

    def run(name: str, rows: Iterable[Transaction], as_of: datetime, known_at: datetime | None = None) -> list[Values]:
        return run_builder(connection, name, table(rows), as_of, known_at).to_pylist()

    return run


@pytest.fixture(scope="module")
def build_all(connection: Backend) -> BuildAll:
    """Builds all feature tables of a case."""

    def run(case: Case) -> dict[str, list[Values]]:
        tables = run_builders(connection, NAMES, table(case.rows), case.as_of, case.known_at)
        return {name: built.to_pylist() for name, built in tables.items()}

    return run


def purchase(customer: str, time: datetime, amount: float = 1.0) -> Transaction:
    return Transaction(customer, time, amount, ingested_at=min(time, AS_OF))


def assert_equal(actual: list[Values], expected: dict[str, Values]) -> None:
    """Same customers, once each, and for each the same columns, types and bits."""
    assert sorted(row["customer_id"] for row in actual) == sorted(expected)
    for row in actual:
        wanted = {"customer_id": row["customer_id"], **expected[row["customer_id"]]}
        assert row.keys() == wanted.keys()
        for column, value in wanted.items():
            if column in _ULPS and value is not None:
                assert abs(row[column] - value) <= _ULPS[column] * math.ulp(value), (column, row, wanted)
            else:
                assert bits([{column: row[column]}]) == bits([{column: value}]), (column, row, wanted)


def view_of(name: str) -> FeatureView:
    return getattr(feature_views, name)


@EXAMPLES
@given(case=st.booleans().flatmap(cases))
def test_builders_any_shop_equal_oracle(build_all: BuildAll, case: Case) -> None:
    visible = feature_oracle.known(case.rows, case.as_of, case.known_at)
    for name, rows in build_all(case).items():
        assert_equal(rows, feature_oracle.FEATURES[name](visible, case.as_of))


@pytest.mark.parametrize("name", NAMES)
class TestDefinition:
    def test_builders_schema_equals_the_feature_view(self, connection: Backend, name: str) -> None:
        arrow_types = {String: pa.string(), Int64: pa.int64(), Float64: pa.float64()}
        result = run_builder(connection, name, table([purchase("a", AS_OF - MICROSECOND)]), AS_OF)
        view = view_of(name)
        wanted = {field.name: arrow_types[field.dtype] for field in [*view.entity_columns, *view.features]}
        assert {field.name: field.type for field in result.schema} == wanted

    def test_builders_empty_table_returns_no_rows_of_the_same_schema(self, connection: Backend, name: str) -> None:
        some = run_builder(connection, name, table([purchase("a", AS_OF - MICROSECOND)]), AS_OF)
        none = run_builder(connection, name, table([]), AS_OF)
        assert none.num_rows == 0
        assert none.schema.equals(some.schema)

    def test_builders_one_purchase_is_null_only_in_nullable_fields(self, build: Build, name: str) -> None:
        (row,) = build(name, [purchase("a", AS_OF - timedelta(days=1), 9.99)], AS_OF)
        nullable = {column for column in view_of(name).tags.get("nullable", "").split(",") if column}
        assert {column for column, value in row.items() if value is None} == nullable

    def test_builders_purchases_on_one_day_are_one_purchase_day(self, build: Build, name: str) -> None:
        day = datetime(2024, 2, 10, tzinfo=UTC)
        rows = [purchase("a", day + timedelta(hours=hours)) for hours in (0, 0, 5, 23)]
        assert_equal(build(name, rows, AS_OF), feature_oracle.FEATURES[name](rows, AS_OF))
        (row,) = build(name, rows, AS_OF)
        assert {v for k, v in row.items() if "purchase_days" in k} <= {1}
        assert all(v is None for k, v in row.items() if "gap" in k)

    def test_builders_customer_with_returns_only_is_absent(self, build: Build, name: str) -> None:
        rows = [purchase("a", AS_OF - timedelta(days=2), -5.0), purchase("b", AS_OF - timedelta(days=2), 5.0)]
        assert [row["customer_id"] for row in build(name, rows, AS_OF)] == ["b"]

    def test_builders_days_are_separated_at_midnight_utc(self, build: Build, name: str) -> None:
        midnight = datetime(2024, 2, 10, tzinfo=UTC)
        apart = [purchase("a", midnight - MICROSECOND), purchase("a", midnight)]
        together = [purchase("a", midnight), purchase("a", midnight + timedelta(days=1) - MICROSECOND)]
        (two,), (one,) = build(name, apart, AS_OF), build(name, together, AS_OF)
        counts = {"purchase_days": (2, 1), "purchase_days_30d": (2, 1), "mean_gap_days": (1.0, None)}
        (column,) = counts.keys() & two.keys()
        assert (two[column], one[column]) == counts[column]


@pytest.mark.parametrize("days", [30, 90, 180])
def test_recent_activity_windows_are_half_open(build: Build, days: int) -> None:
    start = AS_OF - timedelta(days=days)
    rows = [
        purchase("at the start", start),
        purchase("just before the start", start - MICROSECOND),
        purchase("just before as_of", AS_OF - MICROSECOND),
        purchase("at as_of", AS_OF),
    ]
    result = build("customer_recent_activity", rows, AS_OF)
    assert {row["customer_id"]: (row[f"purchase_days_{days}d"], row[f"amount_{days}d"]) for row in result} == {
        "at the start": (1, 1.0),
        "just before the start": (0, 0.0),
        "just before as_of": (1, 1.0),
    }


@pytest.mark.parametrize(
    ("age", "trend"),
    [
        (MICROSECOND, 1),
        (timedelta(days=90), 1),
        (timedelta(days=90) + MICROSECOND, -1),
        (timedelta(days=180), -1),
        (timedelta(days=180) + MICROSECOND, 0),
    ],
)
def test_recent_activity_trend_is_difference_of_90_day_windows(build: Build, age: timedelta, trend: int) -> None:
    (row,) = build("customer_recent_activity", [purchase("a", AS_OF - age)], AS_OF)
    assert row["purchase_days_trend_90d"] == trend


def test_builders_sum_money_as_decimals(build: Build) -> None:
    rows = [purchase("a", AS_OF - timedelta(days=1), amount) for amount in [0.1] * 10 + [1e7, -1e7]]
    (history,) = build("customer_purchase_history", rows, AS_OF)
    (recent,) = build("customer_recent_activity", rows, AS_OF)
    assert history["total_amount"] == recent["amount_30d"] == recent["amount_180d"] == 1.0


@pytest.mark.parametrize("gaps", [[7, 7, 7], [3_000, 3_001, 3_000], [1, 5_000], [2_001, 2_000, 2_000, 2_001, 2_000]])
def test_purchase_rhythm_deviation_of_nearly_equal_gaps_is_precise(build: Build, gaps: list[int]) -> None:
    ages = [sum(gaps[i:]) + 1 for i in range(len(gaps) + 1)]
    rows = [purchase("a", AS_OF - timedelta(days=age)) for age in ages]
    assert_equal(build("customer_purchase_rhythm", rows, AS_OF), feature_oracle.purchase_rhythm(rows, AS_OF))


@st.composite
def _with_unknown_rows(draw: st.DrawFn) -> tuple[Case, list[Transaction]]:
    """A case, and rows that lie in the future or have not arrived, of old and new customers."""
    case = draw(cases())
    later = st.sampled_from([timedelta(0), MICROSECOND, timedelta(days=1), timedelta(days=400)])
    customers = st.sampled_from([*CUSTOMERS, "new"])
    future = st.builds(
        Transaction,
        customer_id=customers,
        event_timestamp=later.map(lambda delay: case.as_of + delay),
        amount=amounts,
        ingested_at=st.sampled_from([case.known_at - timedelta(days=9), case.known_at]),
    )
    late = st.builds(
        Transaction,
        customer_id=customers,
        event_timestamp=event_times(case.as_of),
        amount=amounts,
        ingested_at=later.map(lambda delay: case.known_at + MICROSECOND + delay),
    )
    return case, draw(st.lists(st.one_of(future, late), min_size=1, max_size=8))


class TestNoLeak:
    @FEWER_EXAMPLES
    @given(drawn=_with_unknown_rows())
    def test_known_transactions_later_data_has_no_effect(
        self, build_all: BuildAll, drawn: tuple[Case, list[Transaction]]
    ) -> None:
        case, unknown = drawn
        before, after = build_all(case), build_all(case._replace(rows=[*unknown, *case.rows]))
        for name in NAMES:
            assert bits(after[name]) == bits(before[name]), name

    @pytest.mark.parametrize("name", NAMES)
    def test_known_transactions_late_row_is_known_from_its_arrival(self, build: Build, name: str) -> None:
        arrival = AS_OF + timedelta(days=3)
        early = [purchase("a", AS_OF - timedelta(days=40)), purchase("a", AS_OF - timedelta(days=33))]
        late = [
            Transaction("a", AS_OF - timedelta(days=2), 5.0, ingested_at=arrival),
            Transaction("late", AS_OF - timedelta(days=2), 5.0, ingested_at=arrival),
        ]
        rows = [*early, *late]
        assert_equal(build(name, rows, AS_OF, arrival - MICROSECOND), feature_oracle.FEATURES[name](early, AS_OF))
        assert_equal(build(name, rows, AS_OF, arrival), feature_oracle.FEATURES[name](rows, AS_OF))


class TestStable:
    @FEWER_EXAMPLES
    @given(case=cases(all_known=True), data=st.data())
    def test_builders_row_order_has_no_effect(self, build_all: BuildAll, case: Case, data: st.DataObject) -> None:
        shuffled = case._replace(rows=list(data.draw(st.permutations(case.rows))))
        first, second = build_all(case), build_all(shuffled)
        for name in NAMES:
            assert bits(second[name]) == bits(first[name]), name

    @FEWER_EXAMPLES
    @given(case=cases(all_known=True), customer=st.sampled_from(CUSTOMERS))
    def test_builders_other_customers_have_no_effect(self, build_all: BuildAll, case: Case, customer: str) -> None:
        of_customer = case._replace(rows=[row for row in case.rows if row.customer_id == customer])
        among_others, alone = build_all(case), build_all(of_customer)
        for name in NAMES:
            wanted = [row for row in among_others[name] if row["customer_id"] == customer]
            assert bits(alone[name]) == bits(wanted), name

    @pytest.mark.parametrize("name", NAMES)
    def test_builders_files_and_threads_have_no_effect(
        self, name: str, scattered: list[list[Path]], many_rows: list[Transaction]
    ) -> None:
        results = []
        for threads in (1, 4):
            connection = ibis.duckdb.connect(threads=threads)
            for files in scattered:
                results.append(run_builder(connection, name, connection.read_parquet(files), AS_OF).to_pylist())
        assert_equal(results[0], feature_oracle.FEATURES[name](many_rows, AS_OF))
        for other in results[1:]:
            assert bits(other) == bits(results[0])


@pytest.fixture(scope="module")
def many_rows() -> list[Transaction]:
    """20 000 transactions of 150 customers, in cents, which binary floats cannot hold."""
    rng = random.Random(7)
    return [
        Transaction(
            f"c{rng.randrange(150)}",
            AS_OF - rng.randrange(1, 900 * DAY_US) * MICROSECOND,
            rng.choice([1, 1, 1, -1]) * rng.randrange(1, 10 ** rng.randrange(1, 8)) / 100,
            AS_OF,
        )
        for _ in range(20_000)
    ]


@pytest.fixture(scope="module")
def scattered(tmp_path_factory: pytest.TempPathFactory, many_rows: list[Transaction]) -> list[list[Path]]:
    """The same rows three times: as one file, and shuffled into three and seven files of uneven size."""
    rng = random.Random(8)
    copies = []
    for n_files in (1, 3, 7):
        rows = many_rows if n_files == 1 else rng.sample(many_rows, len(many_rows))
        cuts = [0, *sorted(rng.sample(range(1, len(rows)), n_files - 1)), len(rows)]
        folder = tmp_path_factory.mktemp("transactions")
        files = [folder / f"{i}.parquet" for i in range(n_files)]
        for i, file in enumerate(files):
            pq.write_table(arrow_table(rows[cuts[i] : cuts[i + 1]]), file, row_group_size=1_000)
        copies.append(files)
    return copies


_IN_ANOTHER_PROCESS = """
import json, sys, time
from datetime import datetime
import ibis
from feature_repo.transformations import BUILDERS
from tests.support.transformations import run_builder, run_builders

connection = ibis.duckdb.connect()
as_of = datetime.fromisoformat(sys.argv[2])
rows = connection.read_parquet(sys.argv[1])
tables = {name: run_builder(connection, name, rows, as_of).to_pylist() for name in BUILDERS}
print(json.dumps({"offset": time.localtime(as_of.timestamp()).tm_gmtoff, "tables": tables}))
"""


@pytest.fixture(scope="module")
def zoned_rows() -> list[Transaction]:
    """Purchases around the midnights of three zones and the changes to and from daylight saving."""
    days = [datetime(y, m, d, tzinfo=UTC) for y, m, d in [(2023, 9, 2), (2023, 11, 5), (2023, 12, 2), (2024, 2, 29)]]
    hours = [0, 4, 5, 6, 7, 18, 18.5, 19, 24]
    return [
        purchase(f"c{i % 3}", day + timedelta(hours=hour) + nudge)
        for day in days
        for i, hour in enumerate(hours)
        for nudge in (-MICROSECOND, timedelta(0))
    ]


@pytest.fixture(scope="module")
def by_time_zone(tmp_path_factory: pytest.TempPathFactory, zoned_rows: list[Transaction]) -> dict[str, dict[str, Any]]:
    """What processes in three time zones build from the same file."""
    file = tmp_path_factory.mktemp("zones") / "transactions.parquet"
    pq.write_table(arrow_table(zoned_rows), file)
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", _IN_ANOTHER_PROCESS, str(file), AS_OF.isoformat()]
    processes = {
        zone: subprocess.Popen(command, cwd=root, env=os.environ | {"TZ": zone}, stdout=subprocess.PIPE, text=True)
        for zone in ("UTC", "America/New_York", "Asia/Kolkata")
    }
    outputs = {zone: process.communicate(timeout=120)[0] for zone, process in processes.items()}
    assert {process.returncode for process in processes.values()} == {0}
    return {zone: json.loads(output) for zone, output in outputs.items()}


def test_time_zone_fixture_ran_processes_in_different_zones(by_time_zone: dict[str, dict[str, Any]]) -> None:
    assert {zone: result["offset"] for zone, result in by_time_zone.items()} == {
        "UTC": 0,
        "America/New_York": -5 * 3600,
        "Asia/Kolkata": 5.5 * 3600,
    }


@pytest.mark.parametrize("name", NAMES)
def test_builders_process_time_zone_has_no_effect(
    name: str, by_time_zone: dict[str, dict[str, Any]], zoned_rows: list[Transaction]
) -> None:
    visible = feature_oracle.known(zoned_rows, AS_OF, AS_OF)
    assert_equal(by_time_zone["UTC"]["tables"][name], feature_oracle.FEATURES[name](visible, AS_OF))
    for result in by_time_zone.values():
        assert bits(result["tables"][name]) == bits(by_time_zone["UTC"]["tables"][name])


def test_builders_cover_each_stored_view() -> None:
    views = {view.name for view in vars(feature_views).values() if isinstance(view, FeatureView)}
    assert views == {*NAMES, "customer_subscription"}  # tests/integration/test_subscription_shop.py
