"""Oracle of features and labels: brute-force computation with lists, sets, ``datetime`` and ``Decimal``.

The functions are written from the definitions, independently of the Ibis expressions.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Values = dict[str, Any]


class Transaction(NamedTuple):
    """Columns of a transaction that features and labels depend on."""

    customer_id: str
    event_timestamp: datetime
    amount: float
    ingested_at: datetime


def known(rows: Iterable[Transaction], as_of: datetime, known_at: datetime) -> list[Transaction]:
    """Select the rows before ``as_of`` that had arrived by ``known_at``."""
    return [row for row in rows if row.event_timestamp < as_of and row.ingested_at <= known_at]


def purchase_history(rows: Iterable[Transaction], as_of: datetime) -> dict[str, Values]:
    """Compute the purchase history of each customer with a purchase."""
    features: dict[str, Values] = {}
    for customer, transactions in _buyers(rows).items():
        bought = [row for row in transactions if row.amount > 0]
        days = len(_days(bought))
        times = [row.event_timestamp for row in bought]
        features[customer] = {
            "purchase_days": days,
            "total_amount": float(_money(transactions)),
            "mean_purchase_amount": float(_money(bought)) / days,
            "first_purchase_us": microseconds(min(times)),
            "last_purchase_us": microseconds(max(times)),
        }
    return features


def recent_activity(rows: Iterable[Transaction], as_of: datetime) -> dict[str, Values]:
    """Compute purchase days and net spend in the windows that end at ``as_of``."""
    features: dict[str, Values] = {}
    for customer, transactions in _buyers(rows).items():

        def between(
            start_days: int, end_days: int, transactions: list[Transaction] = transactions
        ) -> list[Transaction]:
            start, end = as_of - timedelta(days=start_days), as_of - timedelta(days=end_days)
            return [row for row in transactions if start <= row.event_timestamp < end]

        values: Values = {}
        for n in (30, 90, 180):
            values[f"purchase_days_{n}d"] = len(_days(row for row in between(n, 0) if row.amount > 0))
        for n in (30, 90, 180):
            values[f"amount_{n}d"] = float(_money(between(n, 0)))
        earlier = _days(row for row in between(180, 90) if row.amount > 0)
        values["purchase_days_trend_90d"] = values["purchase_days_90d"] - len(earlier)
        features[customer] = values
    return features


def purchase_rhythm(rows: Iterable[Transaction], as_of: datetime) -> dict[str, Values]:
    """Compute statistics of the gaps between purchase days; null without a gap."""
    features: dict[str, Values] = {}
    for customer, transactions in _buyers(rows).items():
        days = sorted(_days(row for row in transactions if row.amount > 0))
        gaps = [(later - earlier).days for earlier, later in pairwise(days)]
        features[customer] = {
            "mean_gap_days": float(Fraction(sum(gaps), len(gaps))) if gaps else None,
            "std_gap_days": statistics.pstdev(gaps) if gaps else None,
            "max_gap_days": float(max(gaps)) if gaps else None,
            "last_gap_days": float(gaps[-1]) if gaps else None,
        }
    return features


FEATURES: dict[str, Callable[[Iterable[Transaction], datetime], dict[str, Values]]] = {
    "customer_purchase_history": purchase_history,
    "customer_recent_activity": recent_activity,
    "customer_purchase_rhythm": purchase_rhythm,
}


def request_time(
    purchase_days: int, first: datetime, last: datetime, mean_gap_days: float | None, as_of: datetime
) -> Values:
    """Compute the on-demand features at ``as_of``."""
    silence, tenure = _days_between(last, as_of), _days_between(first, as_of)
    priors = {"40d": ("0.25", 10), "60d": ("0.5", 30), "90d": ("1", 90)}
    return {
        "days_since_last_purchase": float(silence),
        "tenure_days": float(tenure),
        "lateness_ratio": None if mean_gap_days is None else float(silence / Fraction(mean_gap_days)),
        "silence_share": float(silence / tenure) if tenure else 0.0,
    } | {
        f"no_purchase_log_odds_{name}": _no_purchase_log_odds(purchase_days - 1, tenure, silence, Decimal(r), alpha)
        for name, (r, alpha) in priors.items()
    }


def _no_purchase_log_odds(repeats: int, tenure: Fraction, silence: Fraction, r: Decimal, alpha: int) -> float:
    """Compute the log-odds of no purchase in 90 days under MBG/NBD from its likelihood, with 60 digits."""

    def density(days: Fraction) -> Decimal:
        """Compute (alpha + days) ** -(r + repeats)."""
        return (alpha + Decimal(days.numerator) / Decimal(days.denominator)) ** -(r + repeats)

    with localcontext(prec=60, Emin=-999_999_999, Emax=999_999_999):
        inactive = Decimal("0.8") / (Decimal("2.5") + repeats) * density(tenure - silence if repeats else Fraction(0))
        until_request, until_horizon = density(tenure), density(tenure + 90)
        log_odds = ((until_horizon + inactive) / (until_request - until_horizon)).ln()
    return min(max(float(log_odds), -10.0), 10.0)


def churn_labels(
    rows: Iterable[Transaction], cutoffs: Iterable[datetime], horizon_days: int, activity_days: int
) -> dict[tuple[str, datetime], bool]:
    """Label each customer who purchased in the days before a cut-off by the absence of purchases after it."""
    horizon, activity = timedelta(days=horizon_days), timedelta(days=activity_days)
    labels: dict[tuple[str, datetime], bool] = {}
    for customer, transactions in _buyers(rows).items():
        times = [row.event_timestamp for row in transactions if row.amount > 0]
        for cutoff in cutoffs:
            if any(cutoff - activity <= time < cutoff for time in times):
                labels[customer, cutoff] = not any(cutoff <= time < cutoff + horizon for time in times)
    return labels


def closed_cutoffs(first_event: datetime, as_of: datetime, horizon_days: int, min_history_days: int) -> list[datetime]:
    """List the midnights up to ``as_of`` on the first of a month with enough history and a closed horizon."""
    midnights: list[datetime] = []
    midnight = first_event.replace(hour=0, minute=0, second=0, microsecond=0)
    while midnight <= as_of:
        midnights.append(midnight)
        midnight += timedelta(days=1)
    return [
        cutoff
        for cutoff in midnights
        if cutoff.day == 1
        and cutoff - timedelta(days=min_history_days) >= first_event
        and cutoff + timedelta(days=horizon_days) <= as_of
    ]


def microseconds(time: datetime) -> int:
    """Convert a time to microseconds since 1970."""
    return (time - EPOCH) // MICROSECOND


def _days_between(earlier: datetime, later: datetime) -> Fraction:
    return Fraction((later - earlier) // MICROSECOND, timedelta(days=1) // MICROSECOND)


def _buyers(rows: Iterable[Transaction]) -> dict[str, list[Transaction]]:
    """Group the rows of each customer with at least one purchase."""
    by_customer: defaultdict[str, list[Transaction]] = defaultdict(list)
    for row in rows:
        by_customer[row.customer_id].append(row)
    return {
        name: transactions for name, transactions in by_customer.items() if any(row.amount > 0 for row in transactions)
    }


def _days(rows: Iterable[Transaction]) -> set[Any]:
    return {row.event_timestamp.astimezone(UTC).date() for row in rows}


def _money(rows: Sequence[Transaction]) -> Decimal:
    """Sum amounts of six decimals exactly."""
    return sum((Decimal(repr(row.amount)).quantize(Decimal("0.000001")) for row in rows), Decimal(0))
