"""Generated subscription shop: payments, and subscriptions with an end, of about 1,500 customers over two years.

The probability of a renewal grows with the renewals before. Some subscriptions are renewed late, within the grace or
after it, and some are cancelled, with an earlier end.
"""

import functools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from tests.support.subscription_oracle import Statement

FIRST = datetime(2022, 7, 1, tzinfo=UTC)
AS_OF = datetime(2024, 7, 1, tzinfo=UTC)
LAST = datetime(2024, 9, 15, tzinfo=UTC)
HORIZON, GRACE = 30, 14
VARIABLES = {
    "HOLDFAST_LABEL": "not_renewed",
    "HOLDFAST_HORIZON_DAYS": str(HORIZON),
    "HOLDFAST_GRACE_DAYS": str(GRACE),
}
RENEWAL_SHARES = (0.45, 0.7, 0.9, 0.97)  # by the renewals before
TOO_LATE = 0.05  # of the renewals, after the grace
PAYMENTS_MAPPING = "columns: {customer_id: customer, event_timestamp: paid_at, amount: amount}\n"
SUBSCRIPTIONS_MAPPING = (
    "kind: attributes\n"
    "columns: {customer_id: customer, event_timestamp: changed_at, attributes: {subscription_end: ends_at}}\n"
)
_DAY = timedelta(days=1)


@functools.cache
def statements() -> list[Statement]:
    """Generate the statements of all subscriptions, in the order of time."""
    rng = np.random.default_rng(3)
    rows: list[Statement] = []
    for number in range(1500):
        customer, term = f"s{number:04d}", int(rng.choice([30, 91]))
        stated = FIRST + timedelta(days=int(rng.integers(0, 700)), hours=int(rng.integers(0, 24)))
        end, renewals = stated + term * _DAY, 0
        while stated < LAST:
            rows.append(Statement(customer, stated, end))
            if rng.random() > RENEWAL_SHARES[min(renewals, len(RENEWAL_SHARES) - 1)]:
                if rng.random() < 0.4:
                    cancelled = end - timedelta(days=float(rng.uniform(1, 20)))
                    rows.append(Statement(customer, cancelled, max(cancelled, end - 5 * _DAY)))
                break
            late = rng.random()
            days = (
                rng.uniform(-6, 0)
                if late < 0.8
                else rng.uniform(0, GRACE)
                if late < 1 - TOO_LATE
                else rng.uniform(15, 30)
            )
            stated, renewals = end + timedelta(days=float(days)), renewals + 1
            end = max(end, stated) + term * _DAY
    return sorted((row for row in rows if row.stated_at < LAST), key=lambda row: (row.stated_at, row.customer))


def first_payments() -> dict[str, datetime]:
    """Return the time of the first payment of each customer."""
    first: dict[str, datetime] = {}
    for row in statements():
        first.setdefault(row.customer, row.stated_at)
    return first


def write_sources(folder: Path) -> list[tuple[str, str]]:
    """Write both exports and their mappings; returns the paths, subscriptions first."""
    rows = statements()
    latest: dict[str, datetime] = {}
    payments = ["customer,paid_at,amount"]
    for row in rows:
        assert row.end is not None
        if row.end > latest.get(row.customer, FIRST):  # not a cancellation
            price = 9.9 if row.end - row.stated_at < 40 * _DAY else 24.9
            payments.append(f"{row.customer},{row.stated_at.isoformat()},{price}")
        latest[row.customer] = row.end
    subscriptions = ["customer,changed_at,ends_at"]
    subscriptions += [f"{row.customer},{row.stated_at.isoformat()},{row.end}" for row in rows]
    paths = []
    for name, lines, mapping in (
        ("subscriptions", subscriptions, SUBSCRIPTIONS_MAPPING),
        ("payments", payments, PAYMENTS_MAPPING),
    ):
        source, rules = folder / f"{name}.csv", folder / f"{name}.yaml"
        source.write_text("\n".join(lines) + "\n")
        rules.write_text(mapping)
        paths.append((str(source), str(rules)))
    return paths
