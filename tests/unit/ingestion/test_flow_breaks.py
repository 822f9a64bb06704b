"""Begin, end and gaps of generated flows: injected ones are found, and none in a history without them."""

import importlib.util
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from holdfast.ingestion.flow_breaks import DailyFlow, Days, FlowBreaks, find_breaks
from tests.support.daily_flows import FIRST_DAY, draw_counts, make_flow

SHAPES = [
    "plain",
    "week year",
    "week year growth",
    "week decline",
    "week death",
    "week weather holidays",
    "christmas week",
    "monthly",
    "weekly",
]


def _whole(flow: DailyFlow) -> FlowBreaks:
    return FlowBreaks(int(flow.days[0]), int(flow.days[-1]) + 1, ())


def _add_rows(flow: DailyFlow, days: Days, customers: int = 1) -> DailyFlow:
    order = np.argsort(np.concatenate([flow.days, days]))
    added = np.full(len(days), customers)
    return DailyFlow(
        np.concatenate([flow.days, days])[order],
        np.concatenate([flow.customers, added])[order],
        np.concatenate([flow.rows, added])[order],
    )


class TestHistoriesWithoutBreaks:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_find_breaks_clean_histories_nothing_found(self, shape: str) -> None:
        """The stated error is one history in a hundred; the allowances of the rule make it rarer."""
        flows = [make_flow(draw_counts(shape, rate, seed)) for rate in (0.05, 0.3, 1, 4, 20, 100) for seed in range(15)]
        wrong = [flow for flow in flows if find_breaks(flow) != _whole(flow)]
        assert len(wrong) <= 1

    @pytest.mark.parametrize("half_life", [25, 60, 120])
    def test_find_breaks_shop_that_dies_slowly_ends_at_its_last_row(self, half_life: int) -> None:
        wrong = 0
        for rate in (1, 10, 50):
            for seed in range(20):
                mean = rate * 2.0 ** (-np.maximum(np.arange(1500) - 300, 0) / half_life)
                flow = make_flow(np.random.default_rng(seed).poisson(mean))
                wrong += find_breaks(flow) != _whole(flow)
        assert wrong <= 1

    @pytest.mark.parametrize("rate", [1, 20])
    def test_find_breaks_shop_that_closes_every_winter_has_no_gap(self, rate: int) -> None:
        for seed in range(10):
            flow = make_flow(draw_counts("winter week", rate, seed, days=1095))
            assert find_breaks(flow) == _whole(flow)

    @pytest.mark.parametrize("customers", [1, 3, 20])
    def test_find_breaks_shop_of_few_customers_is_not_cut(self, customers: int) -> None:
        """Each customer buys every two months and leaves after a year on average."""
        for seed in range(30):
            rng, counts = np.random.default_rng(seed), np.zeros(1100, dtype=np.int64)
            for _ in range(customers):
                start, leaves = rng.uniform(0, 300), rng.exponential(365)
                bought = start + np.cumsum(rng.exponential(60, 20))
                days = np.unique(np.append(start, bought[bought < min(start + leaves, 1100)]).astype(int))
                counts[days] += 1
            assert find_breaks(make_flow(counts)) == _whole(make_flow(counts))

    @pytest.mark.parametrize("days", [[0], [0, 1], [0, 400], [0, 400, 800], [5, 6, 7, 8, 9, 10, 40]])
    def test_find_breaks_few_days_nothing_found(self, days: list[int]) -> None:
        for customers in (1, 3):
            count = np.full(len(days), customers)
            flow = DailyFlow(np.array(days), count, count)
            assert find_breaks(flow) == _whole(flow)

    @pytest.mark.skipif(importlib.util.find_spec("lifetimes") is None, reason="needs lifetimes")
    def test_find_breaks_cdnow_nothing_found(self) -> None:
        from holdfast.ingestion.datasets import locate_dataset

        rows = pd.read_csv(locate_dataset("cdnow")[0], sep=r"\s+")
        daily = rows.groupby(pd.to_datetime(rows["date"], format="%Y%m%d"))["customer_id"].agg(["nunique", "size"])
        days = daily.index.to_numpy().astype("datetime64[D]").astype(np.int64)
        flow = DailyFlow(days, daily["nunique"].to_numpy(), daily["size"].to_numpy())
        assert find_breaks(flow) == _whole(flow)
        assert flow.days[-1] - flow.days[0] == 545


class TestGaps:
    @pytest.mark.parametrize("shape", ["plain", "week", "week weather", "week holidays", "weekly", "monthly"])
    @pytest.mark.parametrize("rate", [4, 20, 100])
    def test_find_breaks_missing_month_found_to_the_day(self, shape: str, rate: int) -> None:
        found = 0
        for seed in range(10):
            counts = draw_counts(shape, rate, seed)
            start = int(np.random.default_rng(seed).integers(120, 340))
            counts[start : start + 30] = 0
            flow = make_flow(counts)
            before, after = flow.days[flow.days < FIRST_DAY + start], flow.days[flow.days > FIRST_DAY + start]
            gap = (int(before[-1]) + 1, int(after[0]))
            found += find_breaks(flow) == replace(_whole(flow), gaps=(gap,))
        assert found >= 9

    def test_find_breaks_several_gaps_with_stray_rows_all_found(self) -> None:
        counts = draw_counts("week", 20, 1, days=1000)
        injected = [(200, 231), (400, 490), (700, 728)]
        for start, end in injected:
            counts[start:end] = 0
        counts[[412, 433, 434, 470]] = 1
        flow = make_flow(counts)
        before = [int(flow.days[flow.days < FIRST_DAY + start][-1]) + 1 for start, _ in injected]
        after = [int(flow.days[flow.days >= FIRST_DAY + end][0]) for _, end in injected]
        assert find_breaks(flow).gaps == tuple(zip(before, after, strict=True))

    def test_find_breaks_closure_of_two_weeks_is_no_gap(self) -> None:
        counts = draw_counts("plain", 50, 3)
        counts[300:315] = 0
        assert find_breaks(make_flow(counts)).gaps == ()

    def test_find_breaks_month_with_a_tenth_of_the_rows_is_no_gap(self) -> None:
        counts = draw_counts("plain", 50, 3)
        counts[300:330] //= 10
        assert find_breaks(make_flow(counts)).gaps == ()

    def test_find_breaks_missing_month_of_a_winter_shop_found_beside_its_winters(self) -> None:
        counts = draw_counts("winter", 20, 5, days=1460)
        counts[520:550] = 0
        breaks = find_breaks(make_flow(counts))
        assert breaks.gaps == ((FIRST_DAY + 520, FIRST_DAY + 550),)

    def test_find_breaks_flow_that_resumed_for_days_only_is_the_end(self) -> None:
        counts = draw_counts("plain", 20, 5)
        counts[600:640] = 0
        counts[644:] = 0
        breaks = find_breaks(make_flow(counts))
        assert breaks == FlowBreaks(FIRST_DAY, FIRST_DAY + 644, ((FIRST_DAY + 600, FIRST_DAY + 640),))


class TestOutliers:
    @pytest.mark.parametrize("shape", ["plain", "week year", "week growth", "week weather holidays", "monthly"])
    @pytest.mark.parametrize("distance", [95, 400, 3650, 40_000])
    @pytest.mark.parametrize("side", [-1, 1])
    def test_find_breaks_one_far_row_does_not_move_the_edge(self, shape: str, distance: int, side: int) -> None:
        found = 0
        for seed in range(6):
            flow = make_flow(draw_counts(shape, 20, seed))
            edge = flow.days[0] if side < 0 else flow.days[-1]
            found += find_breaks(_add_rows(flow, np.array([edge + side * distance]))) == _whole(flow)
        assert found >= 5

    @pytest.mark.parametrize("rows", [3, 10, 40])
    def test_find_breaks_sparse_tail_is_not_the_end(self, rows: int) -> None:
        for seed in range(10):
            flow, rng = make_flow(draw_counts("week", 10, seed)), np.random.default_rng(seed)
            tail = flow.days[-1] + 30 + np.sort(rng.choice(600, rows, replace=False))
            assert find_breaks(_add_rows(flow, tail)) == _whole(flow)

    @pytest.mark.parametrize("day", [-45_000, FIRST_DAY - 400, FIRST_DAY + 900, FIRST_DAY + 30_000])
    def test_find_breaks_day_that_stands_for_missing_dates_is_no_flow(self, day: int) -> None:
        flow = make_flow(draw_counts("week", 10, 2))
        assert find_breaks(_add_rows(flow, np.array([day]), customers=900)) == _whole(flow)

    @pytest.mark.parametrize("days", [60, 91])
    def test_find_breaks_row_months_after_the_export_is_not_the_end(self, days: int) -> None:
        """A shop with four customers a day."""
        for seed in range(20):
            flow = make_flow(draw_counts("week", 4, seed))
            assert find_breaks(_add_rows(flow, flow.days[-1:] + days)) == _whole(flow)

    def test_find_breaks_small_shop_with_a_row_of_2035_ends_before(self) -> None:
        flow = make_flow(draw_counts("plain", 0.3, 4))
        assert find_breaks(_add_rows(flow, np.array([23_800]))) == _whole(flow)
