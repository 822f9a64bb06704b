"""Hypothesis strategies of transactions, with many events at the edges of windows."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st

from feature_repo.timestamps import DAY_US
from tests.support.feature_oracle import EPOCH, MICROSECOND, Transaction, microseconds

EXAMPLES = settings(max_examples=60, deadline=None, report_multiple_bugs=False)
# For properties that need two runs each.
FEWER_EXAMPLES = settings(EXAMPLES, max_examples=30)

CUSTOMERS = ("a", "b", "c", "Zoë 3")

_SCHEMA = pa.schema(
    {
        "customer_id": pa.string(),
        "event_timestamp": pa.timestamp("us", tz="UTC"),
        "amount": pa.float64(),
        "quantity": pa.float64(),
        "ingested_at": pa.timestamp("us", tz="UTC"),
        "batch_id": pa.string(),
    }
)


class Case(NamedTuple):
    """Transactions and the times of their evaluation."""

    as_of: datetime
    known_at: datetime
    rows: list[Transaction]


def arrow_table(rows: Iterable[Transaction]) -> pa.Table:
    """Convert rows to a table as ingestion writes it, with six columns."""
    rows = list(rows)
    return pa.table(
        {
            "customer_id": [row.customer_id for row in rows],
            "event_timestamp": [row.event_timestamp for row in rows],
            "amount": [row.amount for row in rows],
            "quantity": [1.0 if row.amount > 0 else -1.0 for row in rows],
            "ingested_at": [row.ingested_at for row in rows],
            "batch_id": ["batch"] * len(rows),
        },
        schema=_SCHEMA,
    )


def table(rows: Iterable[Transaction]) -> ir.Table:
    """Convert rows to an Ibis table in memory."""
    return ibis.memtable(arrow_table(rows))


def bits(rows: Iterable[dict[str, object]]) -> list[list[tuple[str, object]]]:
    """Convert rows to a fixed order with floats as their bits, for comparisons of bits."""
    exact = [
        [(name, value.hex() if isinstance(value, float) else value) for name, value in sorted(row.items())]
        for row in rows
    ]
    return sorted(exact, key=repr)


anywhere = st.integers(
    microseconds(datetime(1990, 1, 1, tzinfo=UTC)), microseconds(datetime(2040, 12, 31, tzinfo=UTC))
).map(lambda us: EPOCH + us * MICROSECOND)

# Leap day, turn of the year, both hours of daylight saving in New York, odd microseconds.
as_ofs = st.one_of(
    st.sampled_from(
        [
            datetime(2024, 3, 1, tzinfo=UTC),
            datetime(2024, 1, 1, tzinfo=UTC),
            datetime(2024, 3, 10, 7, 30, tzinfo=UTC),
            datetime(2024, 11, 3, 5, 30, 0, 1, tzinfo=UTC),
            datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        ]
    ),
    anywhere,
)

amounts = st.one_of(
    st.integers(-(10**9), 10**9).map(lambda millionths: millionths / 1_000_000),
    st.sampled_from([0.1, 0.2, 0.3, 19.99, -19.99, 1e-6, -1e-6, 0.0, 1e7]),
)

_nudges = st.sampled_from([timedelta(0), -MICROSECOND, MICROSECOND])


def instants(edges: Iterable[datetime]) -> st.SearchStrategy[datetime]:
    """Draw an edge, or a time one microsecond before or after an edge."""
    return st.builds(lambda edge, nudge: edge + nudge, st.sampled_from(list(edges)), _nudges)


def event_times(as_of: datetime) -> st.SearchStrategy[datetime]:
    """Draw times at the edges of the windows, around midnights, in the last year, and at random."""
    midnight = as_of.replace(hour=0, minute=0, second=0, microsecond=0)
    return st.one_of(
        instants(as_of - timedelta(days=days) for days in (30, 90, 180)),
        instants([as_of]),
        instants(midnight - timedelta(days=days) for days in (0, 1, 2, 29, 30, 60, 120)),
        st.integers(1, 365 * DAY_US).map(lambda us: as_of - us * MICROSECOND),
        anywhere,
    )


@st.composite
def cases(draw: st.DrawFn, all_known: bool = False) -> Case:
    """Draw up to 24 transactions of four customers, many of them at the same few times.

    Args:
        all_known: Draw only transactions before ``as_of`` that had arrived by ``known_at``.
    """
    as_of = draw(as_ofs)
    known_at = as_of + draw(st.sampled_from([timedelta(0), timedelta(days=1), timedelta(days=-1)]))
    times = event_times(as_of)
    crowd = draw(st.lists(times, min_size=3, max_size=6))
    delays = [timedelta(days=-9), timedelta(0), timedelta(0), MICROSECOND, timedelta(days=9)]
    rows = st.builds(
        Transaction,
        customer_id=st.sampled_from(CUSTOMERS),
        event_timestamp=st.one_of(st.sampled_from(crowd), times),
        amount=amounts,
        ingested_at=st.sampled_from(delays).map(lambda delay: known_at + delay),
    )
    if all_known:
        rows = rows.map(
            lambda row: row._replace(
                event_timestamp=min(row.event_timestamp, as_of - MICROSECOND),
                ingested_at=min(row.ingested_at, known_at),
            )
        )
    n_rows = draw(st.sampled_from([24, 12, 3, 0]))
    return Case(as_of, known_at, draw(st.lists(rows, min_size=n_rows // 2, max_size=n_rows)))
