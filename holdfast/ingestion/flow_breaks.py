"""Begin and end of a flow of rows, and the gaps in it.

The latest row is not the end of the data: one row of 2035 would close every horizon, and everybody would have churned.
A month that was never exported would make everybody inactive. Two flows are compared per stretch of days: inside it and
beside it, over equally long periods. A stretch is a gap, or lies before the begin or after the end, only if

- it is longer than ``_LONGEST_CLOSURE`` days: shops close for holidays;
- it holds less than a twentieth of the flow beside it (on both sides of a gap);
- so few rows are improbable even if the flow inside it were a third of the lower flow beside it (a fifth for a stretch
  before the begin or after the end, with one side only): a shop that shrinks slowly, or is small, has no such stretch.
  The probability, by Chernoff's bound of the binomial distribution of the rows inside, given those inside and beside
  it, is at most ``_ERROR`` divided by the number of days with rows (Bonferroni), so that a shop whose customers buy
  independently of each other has a false finding in at most one of a hundred histories;
- it is half as long again as the silences that the shop has several times a year (a shop that bills monthly);
- the same days of the year before or after hold rows (a shop that closes each winter).

The flow counts each customer once per day: the lines of one order are not independent.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from holdfast.core.types import Floats

_LONGEST_CLOSURE = 21  # days
_SPARSE = 1 / 20
_GAP_FALL, _TAIL_FALL = 3.0, 5.0
_ERROR = 0.01
_SHORTEST_REFERENCE = 7  # days, so that one busy day is not a flow
_BUSY_DAY = 3  # times the median day: more customers, as on a day that stands for missing dates, do not count
_EDGE, _EDGE_SHARE, _NEAR = 7, 0.1, 28
_SILENCES_A_YEAR, _LONGER = 4, 1.5
_YEAR, _SEASON_MARGIN = 365, 0.15

Days = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DailyFlow:
    """Rows per day; arrays of shape (days with rows,).

    Attributes:
        days: Days since 1970, ascending.
        customers: Customers with a row on the day.
        rows: Rows of the day.
    """

    days: Days
    customers: Days
    rows: Days

    def count_customers(self, start: Days, end: Days) -> Days:
        """Count customers within periods, each once per day.

        Args:
            start: First days.
            end: Days after the last.

        Returns:
            One count per period.
        """
        return self._count(self.customers, start, end)

    def count_rows(self, start: int, end: int) -> int:
        """Count the rows of a period.

        Args:
            start: First day.
            end: Day after the last.

        Returns:
            Number of rows.
        """
        return int(self._count(self.rows, np.array([start]), np.array([end]))[0])

    def _count(self, values: Days, start: Days, end: Days) -> Days:
        total = np.concatenate([[0], np.cumsum(values)])
        first, last = (total[np.searchsorted(self.days, bound)] for bound in (start, end))
        return np.maximum(last - first, 0)


@dataclass(frozen=True)
class FlowBreaks:
    """Days at which a flow begins and ends.

    Attributes:
        begin: First day of the flow.
        end: Day after the last day of the flow.
        gaps: First day without the flow, and the day at which it begins again.
    """

    begin: int
    end: int
    gaps: tuple[tuple[int, int], ...]


def find_breaks(flow: DailyFlow) -> FlowBreaks:
    """Find begin, end and gaps of a flow of rows.

    Args:
        flow: Rows per day; at least one day.

    Returns:
        Days of the breaks.
    """
    begin, end = int(flow.days[0]), int(flow.days[-1]) + 1
    flow = replace(flow, customers=np.minimum(flow.customers, int(_BUSY_DAY * np.median(flow.customers))))
    starts, ends, evidence = _list_stretches(flow)
    is_long = ends - starts >= max(_LONGEST_CLOSURE + 1, _LONGER * _usual_silence(flow))
    is_sure = evidence >= np.log(len(flow.days) / _ERROR)
    found: list[tuple[int, int]] = []
    for position in np.argsort(-evidence, kind="stable"):
        if not (is_long[position] and is_sure[position]):
            continue
        start, stop = _trim(flow, int(starts[position]), int(ends[position]))
        if all(stop <= other[0] or start >= other[1] for other in found):
            found.append((start, stop))
    first = max((stop for start, stop in found if start == begin), default=begin)
    last = min((start for start, stop in found if stop == end), default=end)
    inner = sorted(stretch for stretch in found if first <= stretch[0] and stretch[1] <= last)
    gaps = [stretch for stretch in inner if not _is_season(flow, stretch, first, last)]
    if last < end and _is_season(flow, (last, end), first, last):
        last = end
    return FlowBreaks(first, last, tuple(gaps))


def _list_stretches(flow: DailyFlow) -> tuple[Days, Days, Floats]:
    """List sparse stretches: first days, days after the last, and evidence as -log of the bound of the probability."""
    begin, end = flow.days[:1], flow.days[-1:] + 1
    before = flow.count_customers(flow.days + 1 - _LONGEST_CLOSURE, flow.days + 1)
    after = flow.count_customers(flow.days + 1, flow.days + 1 + _LONGEST_CLOSURE)
    falls = flow.days[1:][(after <= before * _SPARSE)[1:]] + 1  # one day is not a flow
    before = flow.count_customers(flow.days - _LONGEST_CLOSURE, flow.days)
    after = flow.count_customers(flow.days, flow.days + _LONGEST_CLOSURE)
    rises = flow.days[:-1][(before <= after * _SPARSE)[:-1]]
    starts, ends = (grid.ravel() for grid in np.meshgrid(falls, rises, indexing="ij"))
    within = ends - starts > _LONGEST_CLOSURE
    starts, ends = starts[within], ends[within]
    gaps = np.minimum(
        _measure_evidence(flow, starts, ends, -1, _GAP_FALL), _measure_evidence(flow, starts, ends, 1, _GAP_FALL)
    )
    tails = _measure_evidence(flow, falls, np.repeat(end, len(falls)), -1, _TAIL_FALL)
    heads = _measure_evidence(flow, np.repeat(begin, len(rises)), rises, 1, _TAIL_FALL)
    return (
        np.concatenate([starts, falls, np.repeat(begin, len(rises))]),
        np.concatenate([ends, np.repeat(end, len(falls)), rises]),
        np.concatenate([gaps, tails, heads]),
    )


def _measure_evidence(flow: DailyFlow, starts: Days, ends: Days, side: int, fall: float) -> Floats:
    """Compare stretches with the flow before (side -1) or after (side 1) them, by Chernoff's bound.

    The least evidence of several periods counts, from the length of the stretch down to an eighth: a flow that shrank
    to almost nothing before a long silence did not end there.
    """
    length = ends - starts
    available = starts - flow.days[0] if side < 0 else flow.days[-1] + 1 - ends
    reference = np.maximum(np.minimum(length, available), _SHORTEST_REFERENCE)
    inside, least = flow.count_customers(starts, ends), np.full(len(starts), np.inf)
    while len(starts):
        beside = (
            flow.count_customers(starts - reference, starts)
            if side < 0
            else flow.count_customers(ends, ends + reference)
        )
        total, share = np.maximum(inside + beside, 1), length / fall / (length / fall + reference)
        distance = special.rel_entr(inside / total, share) + special.rel_entr(beside / total, 1 - share)
        is_sparse = inside * reference <= _SPARSE * beside * length
        least = np.minimum(least, np.where(is_sparse & (inside < share * total), total * distance, 0.0))
        halved = np.maximum(reference // 2, np.minimum(reference, np.maximum(_LONGEST_CLOSURE, length // 8)))
        if (halved == reference).all():
            break
        reference = halved
    return least


def _trim(flow: DailyFlow, start: int, end: int) -> tuple[int, int]:
    """Give days at the edges of a stretch back to the flow if they have a tenth of its daily rows (a weekend)."""
    near = (flow.days >= start) & (flow.days < min(start + _EDGE, end))
    rate = flow.count_rows(start - _NEAR, start) / _NEAR
    first = flow.days[near & (flow.rows >= _EDGE_SHARE * rate)]
    start = int(first[-1]) + 1 if rate and len(first) else start
    near = (flow.days < end) & (flow.days >= max(end - _EDGE, start))
    rate = flow.count_rows(end, end + _NEAR) / _NEAR
    last = flow.days[near & (flow.rows >= _EDGE_SHARE * rate)]
    return start, int(last[0]) if rate and len(last) else end


def _usual_silence(flow: DailyFlow) -> float:
    """Return the length of the longest silence that the shop has ``_SILENCES_A_YEAR`` times a year."""
    share = np.cumsum(flow.customers) / flow.customers.sum()
    low, high = (int(flow.days[np.argmax(share >= bound)]) for bound in (0.01, 0.99))
    rank = max(_SILENCES_A_YEAR, int(np.ceil(_SILENCES_A_YEAR * (high - low) / _YEAR)))
    silences = np.sort(np.diff(flow.days) - 1)[::-1]
    return float(silences[rank - 1]) if len(silences) >= rank else 0.0


def _is_season(flow: DailyFlow, stretch: tuple[int, int], begin: int, end: int) -> bool:
    """Return whether the same days of the year before or after are as empty, inside the flow."""
    start, stop = stretch
    length = stop - start
    if length > _YEAR * (1 - 2 * _SEASON_MARGIN):
        return False
    margin = int(length * _SEASON_MARGIN)
    beside = max(flow.count_rows(start - length, start), flow.count_rows(stop, stop + length))
    return any(
        begin < start + shift
        and stop + shift < end
        and flow.count_rows(start + shift + margin, stop + shift - margin) <= _SPARSE * beside
        for shift in (-_YEAR, _YEAR)
    )
