"""Length of a shop's history and gaps between purchases, known before features are built."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import numpy as np

from feature_repo.settings import Settings
from feature_repo.transformations import known_transactions
from holdfast.core.types import Floats
from holdfast.ingestion.history_extent import DataGap, read_extent
from holdfast.ingestion.tables import scan_table
from holdfast.training.labeled_cutoffs import LONGEST_FEATURE_WINDOW, select_labeled_cutoffs

COVERED_SHARE = 0.8  # of the repeat purchases, by the proposed horizon
_LEAST_COVERED = 0.6
_MOST_TOO_LONG = 3  # times the proposed horizon
_ROUNDED_TO, _LONGEST = 10, 730


@dataclass(frozen=True)
class ShopHistory:
    """History of purchases that was known at a time.

    Attributes:
        customers: Customers with a purchase.
        first: Begin of the data; None without data.
        end: End of the data or of the requested time, whichever is earlier; None without data.
        gaps: Days between consecutive purchase days of each customer, ascending, shape (gaps,).
        data_gaps: Gaps in the data.
    """

    customers: int
    first: datetime | None
    end: datetime | None
    gaps: Floats
    data_gaps: tuple[DataGap, ...] = ()

    @property
    def days(self) -> int:
        """Return the number of days with data."""
        return max(0, (self.end - self.first).days) if self.first and self.end else 0


@dataclass(frozen=True)
class HorizonFit:
    """Fit of a horizon to the gaps between purchases.

    Attributes:
        covered: Share of the repeat purchases that came within the given horizon.
        proposed_days: Days within which four of five repeat purchases came, rounded up to ten; None without gaps.
    """

    horizon_days: int
    covered: float
    proposed_days: int | None

    @property
    def is_bad(self) -> bool:
        """Return whether the horizon is far too short or far too long for the gaps."""
        if self.proposed_days is None:
            return False
        return self.covered < _LEAST_COVERED or self.horizon_days > _MOST_TOO_LONG * self.proposed_days


def read_history(settings: Settings, as_of: datetime, known_at: datetime) -> ShopHistory:
    """Read the history of purchases from the batches.

    Args:
        settings: Settings with the data folder.
        as_of: Time of the training; later events are left out.
        known_at: Latest arrival of the data.

    Returns:
        The history.
    """
    extent = read_extent(settings, known_at, as_of)
    if extent is None:
        return ShopHistory(0, None, None, np.empty(0))
    connection = ibis.duckdb.connect()
    transactions = known_transactions(scan_table(connection, settings, known_at=known_at), as_of, known_at)
    days = (
        transactions.filter(transactions.amount > 0)
        .select("customer_id", day=lambda t: t.event_timestamp.date())
        .distinct()
    )
    customers = int(connection.execute(days.customer_id.nunique()))
    previous = days.day.lag().over(ibis.window(group_by="customer_id", order_by="day"))
    gaps = days.mutate(gap=days.day.delta(previous, unit="day")).gap
    values = connection.execute(gaps).dropna().to_numpy(dtype=np.float64)
    connection.disconnect()
    return ShopHistory(customers, extent.begin, min(as_of, extent.end), np.sort(values), extent.gaps)


def find_needed_end(
    first: datetime,
    horizon_days: int,
    min_history_days: int,
    activity_days: int = LONGEST_FEATURE_WINDOW,
    data_gaps: Sequence[DataGap] = (),
) -> datetime:
    """Find the earliest end of the data with which a training is possible: one month to learn from, one to test on.

    Both need an outcome, and the outcome of the first must be known before the second, so that two horizons fit behind
    the first cut-off. Cut-offs that a gap in the data touches are not used.

    Args:
        first: Begin of the data.
        horizon_days: Horizon of the label in days.
        min_history_days: Days of history before the earliest cut-off.
        activity_days: Activity window in days.
        data_gaps: Gaps in the data.

    Returns:
        Time at which the outcome of the test month is known.
    """
    horizon = timedelta(days=horizon_days)
    begin = max([first, *(gap.end + timedelta(days=activity_days + LONGEST_FEATURE_WINDOW) for gap in data_gaps)])
    far = begin + timedelta(days=min_history_days + 62) + 3 * horizon
    cutoffs = select_labeled_cutoffs(first, far, data_gaps, horizon_days, activity_days, min_history_days).used
    test = next(cutoff for cutoff in cutoffs if cutoff >= cutoffs[0] + horizon)
    return test + horizon


def fit_horizon(gaps: Floats, horizon_days: int) -> HorizonFit:
    """Compare a horizon with the gaps between purchases.

    Four of five: with a shorter horizon many customers that are called churned are between two purchases; a longer one
    delays every outcome, and a training needs two horizons of history. Gaps longer than the history are not observed,
    so the proposal is a lower bound.

    Args:
        gaps: Days between consecutive purchase days of each customer, ascending.
        horizon_days: Given horizon in days.

    Returns:
        The fit with a proposal.
    """
    if not len(gaps):
        return HorizonFit(horizon_days, math.nan, None)
    longest = float(np.quantile(gaps, COVERED_SHARE))
    proposed = min(_LONGEST, max(_ROUNDED_TO, math.ceil(longest / _ROUNDED_TO) * _ROUNDED_TO))
    return HorizonFit(horizon_days, float(np.mean(gaps <= horizon_days)), proposed)
