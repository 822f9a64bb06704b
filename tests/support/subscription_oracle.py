"""Labels of subscriptions in plain Python: an independent implementation to compare with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DAY = timedelta(days=1)
_EARLY, _LATE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

Found = list[tuple[str, datetime, bool]]  # customer, cut-off and churned, sorted


@dataclass(frozen=True)
class Statement:
    """Row of the attribute ``subscription_end``; without an end it erases the one before."""

    customer: str
    stated_at: datetime
    end: datetime | None
    arrived_at: datetime = _EARLY


def label_subscriptions(
    statements: Sequence[Statement],
    bought: Mapping[str, datetime],
    cutoffs: Sequence[datetime],
    horizon: int,
    grace: int,
    as_of: datetime = _LATE,
    known_at: datetime = _LATE,
) -> Found:
    """Label the customers whose subscription ends in the horizon, by the words of the definition."""

    def stated_end(customer: str, time: datetime) -> datetime | None:
        valid = [row for row in statements if row.customer == customer and row.stated_at < min(time, as_of)]
        valid = [row for row in valid if row.arrived_at <= known_at]
        return max(valid, key=lambda row: (row.stated_at, row.arrived_at)).end if valid else None

    found = []
    for cutoff in set(cutoffs):
        for customer, first_purchase in bought.items():
            end = stated_end(customer, cutoff)
            if end is None or not cutoff < end <= cutoff + horizon * _DAY or first_purchase >= cutoff:
                continue
            last = stated_end(customer, end + grace * _DAY)
            found.append((customer, cutoff, last is None or last <= end))
    return sorted(found)
