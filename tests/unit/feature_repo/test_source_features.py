"""Features of attributes and events, compared with plain loops over the rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import ibis
import pyarrow as pa
from hypothesis import strategies as st

from feature_repo.source_features import (
    days_since_event,
    drop_corrected,
    event_counts,
    join_to_customers,
    latest_attribute,
)
from holdfast.ingestion.kinds import KINDS

AS_OF = datetime(2025, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
_times = st.integers(1, 100_000).map(lambda minutes: AS_OF - timedelta(minutes=minutes))
_customers = st.sampled_from(["a", "b", "c"])


def _table(backend: Any, kind: Any, rows: list[dict[str, Any]]) -> ibis.Table:
    complete = [{"ingested_at": NOW, "batch_id": "x"} | row for row in rows]
    return backend.create_table(kind, pa.Table.from_pylist(complete, KINDS[kind].table))


def _rows(table: ibis.Table) -> dict[str, dict[str, Any]]:
    return {row.pop("customer_id"): row for row in table.to_pyarrow().to_pylist()}


@hypothesis.given(
    st.dictionaries(
        st.tuples(_customers, st.sampled_from(["country", "plan"]), st.sampled_from([1, 2, 3]), st.integers(0, 2)),
        st.sampled_from(["UK", "FR", None]),
        max_size=12,
    )
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_latest_attribute_is_the_latest_value_that_arrived_last(values: dict[tuple[str, str, int, int], Any]) -> None:
    rows = [
        {
            "customer_id": customer,
            "attribute": name,
            "value": value,
            "event_timestamp": AS_OF - timedelta(days=10 - day),
            "ingested_at": NOW + timedelta(days=arrival),
        }
        for (customer, name, day, arrival), value in values.items()
    ]
    found = _rows(latest_attribute(drop_corrected(_table(ibis.duckdb.connect(), "attributes", rows)), "country"))
    of_country = sorted(key for key in values if key[1] == "country")
    assert found == {customer: {"country": values[customer, name, day, k]} for customer, name, day, k in of_country}


@hypothesis.given(st.lists(st.tuples(_customers, st.sampled_from(["visit", "ticket"]), _times), max_size=12))
@hypothesis.settings(max_examples=25, deadline=None)
def test_event_features_count_windows_and_days(events: list[tuple[str, str, datetime]]) -> None:
    rows = [{"customer_id": c, "kind": kind, "event_timestamp": time} for c, kind, time in events]
    backend, as_of = ibis.duckdb.connect(), ibis.literal(AS_OF)
    table = _table(backend, "events", rows)
    transactions = _table(
        backend,
        "transactions",
        [
            {"customer_id": customer, "event_timestamp": AS_OF - timedelta(days=1), "amount": amount, "quantity": 1.0}
            for customer, amount in (("a", 5.0), ("b", 5.0), ("b", 6.0), ("c", -5.0))
        ],
    )
    counts = event_counts(table, as_of, "visit", [7, 30])
    joined = join_to_customers(transactions, counts, days_since_event(table, as_of, "visit"))
    found = _rows(joined.fill_null({"visit_7d": 0, "visit_30d": 0}))
    visits = {c: [AS_OF - time for name, kind, time in events if (name, kind) == (c, "visit")] for c in "ab"}
    assert found == {
        customer: {
            "visit_7d": sum(age <= timedelta(days=7) for age in ages),
            "visit_30d": sum(age <= timedelta(days=30) for age in ages),
            "days_since_visit": min(ages) / timedelta(days=1) if ages else None,
        }
        for customer, ages in visits.items()
    }
