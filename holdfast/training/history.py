"""Length of a shop's history and gaps between purchases, known before features are built."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import ibis
import numpy as np
import pandas as pd

from feature_repo.settings import Settings
from feature_repo.transformations import known_rows
from holdfast.core.types import Floats
from holdfast.ingestion.history_extent import DataGap
from holdfast.ingestion.tables import scan_table
from holdfast.models.label import LabelTerms
from holdfast.training.label_extent import read_label_extent
from holdfast.training.labeled_cutoffs import LONGEST_FEATURE_WINDOW, select_labeled_cutoffs

COVERED_SHARE = 0.8  # of the gaps between purchases, by the proposed horizon
_LEAST_COVERED = 0.5  # of the gaps; below, the usual gap counts as churn
_MOST_TOO_LONG = 3  # times the proposed horizon
_ROUNDED_TO, _LONGEST = 10, 730


@dataclass(frozen=True)
class PurchaseGaps:
    """Gaps between consecutive purchase days, in which every customer with a gap has the same weight.

    A label counts a customer once per cut-off, however often the customer buys. Of equally weighted gaps most are those
    of the few customers that buy most often: a horizon that covers four of five such gaps covers the next purchase of
    about two of three active customers that return.

    Attributes:
        days: Distinct lengths in days, ascending.
        weights: Share of each length; they sum to 1.
        count: Number of gaps, which is that of the repeat purchases.
    """

    days: Floats
    weights: Floats
    count: int

    @classmethod
    def of(cls, customers: Sequence[str], days: Sequence[float] | Floats) -> Self:
        """Collect gaps.

        Args:
            customers: Customer of each gap.
            days: Days of each gap.

        Returns:
            The gaps.
        """
        frame = pd.DataFrame({"customer": customers, "days": days})
        frame["weight"] = 1 / frame.groupby("customer")["days"].transform("size")
        weights = frame.groupby("days")["weight"].sum()
        return cls(weights.index.to_numpy(np.float64), (weights / weights.sum()).to_numpy(np.float64), len(frame))

    def share_within(self, days: float) -> float:
        """Compute the share of the gaps that are not longer than some days.

        Args:
            days: Days.

        Returns:
            Share, 0 to 1; NaN without gaps.
        """
        return min(1.0, float(self.weights[self.days <= days].sum())) if self.count else math.nan

    def quantile(self, share: float) -> float:
        """Find the shortest length within which a share of the gaps lies.

        Args:
            share: Share, 0 to 1.

        Returns:
            Days; NaN without gaps.
        """
        reached = np.flatnonzero(np.cumsum(self.weights) >= share - 1e-9)
        return float(self.days[reached[0]]) if len(reached) else math.nan


NO_GAPS = PurchaseGaps(np.empty(0), np.empty(0), 0)


@dataclass(frozen=True)
class ShopHistory:
    """History of purchases that was known at a time.

    Attributes:
        customers: Customers with a purchase.
        first: Begin of the data; None without data.
        end: End of the data or of the requested time, whichever is earlier; None without data.
        gaps: Gaps between consecutive purchase days.
        data_gaps: Gaps in the data.
    """

    customers: int
    first: datetime | None
    end: datetime | None
    gaps: PurchaseGaps
    data_gaps: tuple[DataGap, ...] = ()

    @property
    def days(self) -> int:
        """Return the number of days with data."""
        return max(0, (self.end - self.first).days) if self.first and self.end else 0


@dataclass(frozen=True)
class HorizonFit:
    """Fit of a horizon to the gaps between purchases.

    Attributes:
        covered: Share of the gaps that are not longer than the given horizon.
        proposed_days: Days within which four of five gaps lie, rounded up to ten; None without gaps.
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
        settings: Settings with the data folder and the label.
        as_of: Time of the training; later events are left out.
        known_at: Latest arrival of the data.

    Returns:
        The history.

    Raises:
        NoSubscriptionsError: The label needs the ends of subscriptions, and there are none.
    """
    extent = read_label_extent(settings, LabelTerms.of(settings), known_at, as_of)
    if extent is None:
        return ShopHistory(0, None, None, NO_GAPS)
    connection = ibis.duckdb.connect()
    transactions = known_rows(scan_table(connection, settings, known_at=known_at), as_of, known_at)
    days = (
        transactions.filter(transactions.amount > 0)
        .select("customer_id", day=lambda t: t.event_timestamp.date())
        .distinct()
    )
    customers = int(connection.execute(days.customer_id.nunique()))
    previous = days.day.lag().over(ibis.window(group_by="customer_id", order_by="day"))
    gaps = days.mutate(gap=days.day.delta(previous, unit="day")).filter(lambda t: t.gap.notnull())
    weighted = gaps.mutate(weight=1 / gaps.count().over(group_by="customer_id"))
    found = connection.execute(
        weighted.group_by("gap").aggregate(weight=weighted.weight.sum(), count=weighted.count()).order_by("gap")
    )
    connection.disconnect()
    weights = found["weight"].to_numpy(np.float64)
    values = PurchaseGaps(found["gap"].to_numpy(np.float64), weights / max(weights.sum(), 1), int(found["count"].sum()))
    return ShopHistory(customers, extent.begin, min(as_of, extent.end), values, extent.gaps)


def find_needed_end(
    first: datetime,
    outcome_days: int,
    min_history_days: int,
    activity_days: int = LONGEST_FEATURE_WINDOW,
    data_gaps: Sequence[DataGap] = (),
) -> datetime:
    """Find the earliest end of the data with which a training is possible: one month to learn from, one to test on.

    Both need an outcome, and the outcome of the first must be known before the second, so that both times
    fit behind the first cut-off. Cut-offs that a gap in the data touches are not used.

    Args:
        first: Begin of the data.
        outcome_days: Days from a cut-off until its outcomes are known.
        min_history_days: Days of history before the earliest cut-off.
        activity_days: Activity window in days.
        data_gaps: Gaps in the data.

    Returns:
        Time at which the outcome of the test month is known.
    """
    wait = timedelta(days=outcome_days)
    begin = max([first, *(gap.end + timedelta(days=activity_days + LONGEST_FEATURE_WINDOW) for gap in data_gaps)])
    far = begin + timedelta(days=min_history_days + 62) + 3 * wait
    cutoffs = select_labeled_cutoffs(first, far, data_gaps, outcome_days, activity_days, min_history_days).used
    test = next(cutoff for cutoff in cutoffs if cutoff >= cutoffs[0] + wait)
    return test + wait


def fit_horizon(gaps: PurchaseGaps, horizon_days: int) -> HorizonFit:
    """Compare a horizon with the gaps between purchases.

    Four of five: with a shorter horizon many customers that are called churned are between two purchases; a longer one
    delays every outcome, and a training needs two horizons of history. Gaps longer than the history are not observed,
    so the proposal is a lower bound.

    Args:
        gaps: Gaps between purchases.
        horizon_days: Given horizon in days.

    Returns:
        The fit with a proposal.
    """
    covered = gaps.share_within(horizon_days)
    if not gaps.count:
        return HorizonFit(horizon_days, covered, None)
    longest = gaps.quantile(COVERED_SHARE)
    proposed = min(_LONGEST, max(_ROUNDED_TO, math.ceil(longest / _ROUNDED_TO) * _ROUNDED_TO))
    return HorizonFit(horizon_days, covered, proposed)
