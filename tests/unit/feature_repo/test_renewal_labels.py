"""Labels of subscriptions against an oracle in plain Python, on random histories."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from feature_repo.labels import label_sql, renewal_labels
from feature_repo.source_features import drop_corrected
from feature_repo.transformations import known_rows
from holdfast.training.label_query import query_labels
from tests.support.labels import renewal_label
from tests.support.strategies import EXAMPLES
from tests.support.subscription_oracle import Found, Statement, label_subscriptions

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
LATE = datetime(2026, 1, 1, tzinfo=UTC)
_UTC = pa.timestamp("us", "UTC")


@pytest.fixture(scope="module")
def connection() -> Backend:
    return ibis.duckdb.connect()


def query(
    connection: Backend,
    statements: Sequence[Statement],
    bought: dict[str, datetime],
    cutoffs: Sequence[datetime],
    horizon: int,
    grace: int,
    as_of: datetime = LATE,
    known_at: datetime = LATE,
) -> Found:
    """Label the same rows by the compiled SQL; another attribute and a return have no effect."""
    rows = [(row.customer, "subscription_end", row.end and row.end.isoformat(), row) for row in statements]
    rows += [(row.customer, "plan", "gold", row) for row in statements]
    attributes = pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.string()),
            "attribute": pa.array([row[1] for row in rows], pa.string()),
            "value": pa.array([row[2] for row in rows], pa.string()),
            "event_timestamp": pa.array([row[3].stated_at for row in rows], _UTC),
            "ingested_at": pa.array([row[3].arrived_at for row in rows], _UTC),
        }
    )
    sales = [(customer, time, 5.0) for customer, time in bought.items()]
    sales += [(customer, START - 900 * DAY, -5.0) for customer in bought]
    transactions = pa.table(
        {
            "customer_id": pa.array([row[0] for row in sales], pa.string()),
            "event_timestamp": pa.array([row[1] for row in sales], _UTC),
            "amount": pa.array([row[2] for row in sales], pa.float64()),
            "quantity": pa.array([1.0] * len(sales), pa.float64()),
            "source": pa.nulls(len(sales), pa.string()),
        }
    )
    known = known_rows(connection.create_table("stated", attributes, overwrite=True), as_of, known_at)
    tables = {
        "transactions": connection.create_table("sold", transactions, overwrite=True),
        "attributes": drop_corrected(known),
    }
    labels = query_labels(connection, renewal_label(horizon, grace), tables, sorted(set(cutoffs)))  # type: ignore[arg-type]
    return sorted((row["customer_id"], row["cutoff"], row["churned"]) for row in labels.to_pyarrow().to_pylist())


_days = st.integers(0, 150).map(lambda days: START + days * DAY)
_statements = st.lists(
    st.builds(
        Statement,
        customer=st.sampled_from("ab"),
        stated_at=_days,
        end=st.one_of(st.none(), _days, _days),
        arrived_at=_days,
    ),
    max_size=12,
    unique_by=lambda row: (row.customer, row.stated_at, row.arrived_at),
)


@EXAMPLES
@given(
    statements=_statements,
    bought=st.dictionaries(st.sampled_from("ab"), _days, max_size=2),
    cutoffs=st.lists(_days, min_size=1, max_size=3),
    horizon=st.integers(1, 90),
    grace=st.integers(0, 30),
    as_of=_days,
    known_at=_days,
)
def test_labels_equal_the_oracle(
    connection: Backend,
    statements: list[Statement],
    bought: dict[str, datetime],
    cutoffs: list[datetime],
    horizon: int,
    grace: int,
    as_of: datetime,
    known_at: datetime,
) -> None:
    arguments = (statements, bought, cutoffs, horizon, grace)
    assert query(connection, *arguments) == label_subscriptions(*arguments)
    assert query(connection, *arguments, as_of, known_at) == label_subscriptions(*arguments, as_of, known_at)


END = CUTOFF + 10 * DAY
FIRST = Statement("a", CUTOFF - 300 * DAY, END)
YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("later", "churned"),
    [
        ([], True),
        ([Statement("a", END - DAY, END + YEAR)], False),
        ([Statement("a", END + 13 * DAY, END + YEAR)], False),
        ([Statement("a", END + 14 * DAY, END + YEAR)], True),  # after the grace
        ([Statement("a", END - 5 * DAY, END - 2 * DAY)], True),  # cancelled
        ([Statement("a", END - 5 * DAY, None)], True),  # erased
        ([Statement("a", END - 5 * DAY, END + YEAR), Statement("a", END + DAY, END)], True),  # withdrawn
        ([Statement("a", END - 5 * DAY, None), Statement("a", END + 2 * DAY, END + YEAR)], False),  # a new subscription
    ],
)
def test_customer_has_churned_without_a_renewal_in_time(
    connection: Backend, later: list[Statement], churned: bool
) -> None:
    assert query(connection, [FIRST, *later], {"a": START}, [CUTOFF], 30, 14) == [("a", CUTOFF, churned)]


@pytest.mark.parametrize("end", [CUTOFF, CUTOFF + 30 * DAY + timedelta(microseconds=1), None])
def test_customer_without_a_subscription_that_ends_in_the_horizon_is_not_active(
    connection: Backend, end: datetime | None
) -> None:
    assert query(connection, [Statement("a", START, end)], {"a": START}, [CUTOFF], 30, 14) == []
    last = Statement("a", START, CUTOFF + 30 * DAY)
    assert query(connection, [last], {"a": START}, [CUTOFF], 30, 14) == [("a", CUTOFF, True)]


def test_renewal_recorded_late_is_not_known_earlier(connection: Backend) -> None:
    """The renewal of before the end arrives after the grace: until then the customer counts as churned."""
    renewal = Statement("a", END - DAY, END + YEAR, arrived_at=END + 40 * DAY)
    arguments = ([FIRST, renewal], {"a": START}, [CUTOFF], 30, 14)
    assert query(connection, *arguments, known_at=END + 39 * DAY) == [("a", CUTOFF, True)]
    assert query(connection, *arguments, known_at=END + 40 * DAY) == [("a", CUTOFF, False)]


def test_label_with_unknown_parameter_is_refused() -> None:
    def labels(sales: object) -> None: ...

    with pytest.raises(ValueError, match="label labels has the parameter sales"):
        label_sql(labels, horizon_days=1)
    assert "'14' DAY" in label_sql(renewal_labels, horizon_days=30, activity_days=180, grace_days=14)
