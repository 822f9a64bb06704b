"""Bootstrap intervals: draws equal scikit-learn's values, whole customers are drawn, and coverage is about 95%."""

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import (
    _CALIBRATION_BINS,
    CustomerBootstrap,
    average_months,
    calibration_bins,
    calibration_error_draws,
    compare_means,
    expected_calibration_error,
    mean_draws,
    percentile_interval,
    pr_auc_draws,
    roc_auc_draws,
)
from holdfast.training.metrics import log_loss_per_row
from tests.support.strategies import EXAMPLES, FEWER_EXAMPLES

RESAMPLES = 13  # no multiple of the size of a chunk


@st.composite
def _samples(draw: st.DrawFn) -> tuple[Bools, Floats, list[str], int]:
    """Draw outcomes, scores with many ties, customers with several rows, and a seed."""
    rows = draw(st.integers(1, 40))
    few = st.sampled_from([0.0, 0.1, 0.5, 0.5 + 1e-12, 0.7, 1.0])
    scores = draw(st.lists(st.one_of(few, st.floats(0, 1)), min_size=rows, max_size=rows))
    churned = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    customers = draw(st.lists(st.sampled_from("abcdefgh"), min_size=rows, max_size=rows))
    return np.array(churned), np.array(scores), customers, draw(st.integers(0, 2**32))


def _assert_close(found: Floats, expected: list[float]) -> None:
    assert found.shape == (len(expected),)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)  # NaN equals NaN


class TestDraws:
    @given(_samples())
    @FEWER_EXAMPLES
    def test_metric_draws_same_weights_equal_scikit_learn(self, sample: Any) -> None:
        churned, scores, customers, seed = sample
        bootstrap = CustomerBootstrap(customers, RESAMPLES, seed)
        expected: dict[str, list[float]] = {name: [] for name in ("roc_auc", "pr_auc", "brier", "log_loss")}
        for weights in bootstrap.weights:
            drawn = weights > 0
            y, s, w = churned[drawn], scores[drawn], weights[drawn]
            expected["roc_auc"].append(roc_auc_score(y, s, sample_weight=w) if 0 < y.mean() < 1 else np.nan)
            expected["pr_auc"].append(average_precision_score(y, s, sample_weight=w) if y.any() else np.nan)
            both: dict[str, Any] = {"sample_weight": w, "labels": [False, True]}
            expected["brier"].append(brier_score_loss(y, s, **both))
            expected["log_loss"].append(log_loss(y, s, **both))
        _assert_close(roc_auc_draws(churned, scores, bootstrap), expected["roc_auc"])
        _assert_close(pr_auc_draws(churned, scores, bootstrap), expected["pr_auc"])
        _assert_close(mean_draws((churned - scores) ** 2, bootstrap), expected["brier"])
        _assert_close(mean_draws(log_loss_per_row(churned, scores), bootstrap), expected["log_loss"])

    @given(_samples())
    @EXAMPLES
    def test_calibration_error_draws_any_rows_weighted_distances_over_same_bins(self, sample: Any) -> None:
        churned, scores, customers, seed = sample
        bootstrap = CustomerBootstrap(customers, RESAMPLES, seed)
        bins = calibration_bins(scores)
        expected = []
        for weights in bootstrap.weights.astype(float):
            error = 0.0
            for number in set(bins):
                w, y, s = (values[bins == number] for values in (weights, churned, scores))
                if w.sum():
                    error += w.sum() / weights.sum() * abs(np.average(y, weights=w) - np.average(s, weights=w))
            expected.append(error)
        _assert_close(calibration_error_draws(churned, scores, bootstrap), expected)

    def test_metric_draws_unit_weights_equal_value(self) -> None:
        """With one customer every resample is the sample."""
        rng = np.random.default_rng(2)
        churned, scores = rng.random(50) < 0.4, rng.random(50)
        everything = CustomerBootstrap(["only"] * 50, RESAMPLES, 0)
        assert (everything.weights == 1).all()
        _assert_close(roc_auc_draws(churned, scores, everything), [roc_auc_score(churned, scores)] * RESAMPLES)
        _assert_close(
            calibration_error_draws(churned, scores, everything),
            [expected_calibration_error(churned, scores)] * RESAMPLES,
        )

    @pytest.mark.parametrize("outcome", [True, False])
    def test_metric_draws_single_class_nan_without_interval(self, outcome: bool) -> None:
        churned, scores = np.full(30, outcome), np.linspace(0, 1, 30)
        bootstrap = CustomerBootstrap([str(n) for n in range(30)], RESAMPLES, 0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            roc_auc = percentile_interval(float("nan"), roc_auc_draws(churned, scores, bootstrap))
            pr_auc = pr_auc_draws(churned, scores, bootstrap)
        assert np.isnan([roc_auc.value, roc_auc.low, roc_auc.high]).all()
        assert np.isnan(pr_auc).all() if not outcome else (pr_auc == 1).all()
        assert np.isfinite(mean_draws((churned - scores) ** 2, bootstrap)).all()


class TestResamples:
    @given(_samples())
    @EXAMPLES
    def test_customer_bootstrap_rows_of_customer_same_weight(self, sample: Any) -> None:
        _, _, customers, seed = sample
        names = np.array(customers)
        weights = CustomerBootstrap(customers, RESAMPLES, seed).weights
        counts = []
        for name in np.unique(names):
            customer_weights = weights[:, names == name]
            assert (customer_weights == customer_weights[:, :1]).all(), name
            counts.append(customer_weights[:, 0].astype(int))
        assert (np.sum(counts, axis=0) == len(counts)).all()  # as many as there are

    def test_customer_bootstrap_many_resamples_customers_equally_likely(self) -> None:
        customers = [f"c{n}" for n in range(20) for _ in range(n + 1)]  # from one row to twenty
        weights = CustomerBootstrap(customers, 4000, 0).weights
        first_rows = np.unique(customers, return_index=True)[1]
        assert weights[:, first_rows].mean(axis=0) == pytest.approx(np.ones(20), abs=0.08)
        assert (weights == 0).mean() == pytest.approx((1 - 1 / 20) ** 20, abs=0.01)

    def test_customer_bootstrap_weights_depend_on_seed_not_names(self) -> None:
        customers = ["a", "b", "a", "c", "d", "b"]
        first = CustomerBootstrap(customers, 50, 1).weights
        assert first.tobytes() == CustomerBootstrap(np.array(customers), 50, 1).weights.tobytes()
        assert first.tobytes() == CustomerBootstrap([name * 2 for name in customers], 50, 1).weights.tobytes()
        assert first.tobytes() != CustomerBootstrap(customers, 50, 2).weights.tobytes()

    @given(_samples(), st.data())
    @EXAMPLES
    def test_customer_bootstrap_subset_same_weights(self, sample: Any, data: st.DataObject) -> None:
        churned, scores, customers, seed = sample
        rows = np.array(data.draw(st.lists(st.booleans(), min_size=len(customers), max_size=len(customers))))
        whole = CustomerBootstrap(customers, RESAMPLES, seed)
        parts = [whole.subset(rows), whole.subset(~rows)]
        assert (parts[0].weights == whole.weights[:, rows]).all()
        sums = [np.concatenate([weights @ (scores[where]) for weights in part.weight_chunks()])
                for part, where in zip(parts, (rows, ~rows), strict=True)]  # fmt: skip
        _assert_close(np.sum(sums, axis=0), list(whole.weights @ scores))
        again = whole.subset(rows).subset(churned[rows])
        assert (again.weights == whole.weights[:, rows & churned]).all()

    def test_customer_bootstrap_smaller_chunks_same_weights(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(5)
        churned, scores, names = rng.random(300) < 0.4, rng.random(300).round(2), rng.integers(0, 90, 300)
        found = []
        for cells in (4_000_000, 900, 1):  # ten resamples at a time, three, one
            monkeypatch.setattr("holdfast.training.bootstrap._CELLS", cells)
            drawn = CustomerBootstrap(names, RESAMPLES, 0)
            parts = list(drawn.weight_chunks())
            assert max(map(len, parts)) == min(10, max(1, cells // 300))
            assert (np.concatenate(parts) == drawn.weights).all()
            draws = [measure(churned, scores, drawn) for measure in (roc_auc_draws, pr_auc_draws)]
            draws += [calibration_error_draws(churned, scores, drawn), mean_draws(scores, drawn)]
            found.append(np.concatenate(draws))
        _assert_close(found[1], list(found[0]))
        _assert_close(found[2], list(found[0]))

    def test_customer_bootstrap_many_rows_memory_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Thirty rows of each of 2,000 customers in 500 resamples: one byte for each would take 30 MB."""
        monkeypatch.setattr("holdfast.training.bootstrap._CELLS", 60_000)
        scores, names = np.random.default_rng(6).random(60_000), np.tile(np.arange(2000), 30)
        tracemalloc.start()
        roc_auc_draws(scores < 0.4, scores, CustomerBootstrap(names, 500, 0))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 15e6


class TestMonths:
    """Months are drawn independently of the customers (Owen, 2007)."""

    @given(_samples(), st.integers(1, 5), st.data())
    @EXAMPLES
    def test_customer_bootstrap_months_row_weight_is_product(
        self, sample: Any, months: int, data: st.DataObject
    ) -> None:
        _, scores, customers, seed = sample
        month = np.array(data.draw(st.lists(st.integers(1, months), min_size=len(scores), max_size=len(scores))))
        drawn, alone = (CustomerBootstrap(customers, RESAMPLES, seed, rows) for rows in (month, None))
        weights = np.concatenate(list(drawn.weight_chunks()))
        known = list(dict.fromkeys(month))  # in the order of the rows
        assert (drawn.month_counts.sum(axis=1) == max(1, len(known) - 1)).all()
        assert (weights == alone.weights * drawn.month_counts[:, [known.index(value) for value in month]]).all()
        order = np.argsort(scores, kind="stable")
        assert (np.concatenate(list(drawn.weight_chunks(order))) == weights[:, order]).all()
        rows = month == known[0]
        assert (np.concatenate(list(drawn.subset(rows).weight_chunks())) == weights[:, rows]).all()
        assert (np.concatenate(list(drawn.one_month(rows).weight_chunks())) == alone.weights[:, rows]).all()

    def test_draws_group_absent_from_resample_nan(self) -> None:
        """A group of customers of one month has no rows in the resamples without that month."""
        months = np.repeat([0, 1, 2], 20)
        bootstrap = CustomerBootstrap(np.arange(60), 200, 0, months).subset(months == 1)
        absent = bootstrap.month_counts[:, 1] == 0
        assert absent.mean() == pytest.approx((2 / 3) ** 2, abs=0.1)
        churned, scores = np.arange(20) % 2 == 0, np.linspace(0, 1, 20)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for draws in (
                mean_draws(scores, bootstrap),
                roc_auc_draws(churned, scores, bootstrap),
                calibration_error_draws(churned, scores, bootstrap),
            ):
                assert (np.isnan(draws) == absent).all()
                assert np.isfinite(percentile_interval(0.5, draws).low)

    def test_percentile_interval_effect_of_month_covered(self) -> None:
        """Where a month moves all its rows, an interval over customers alone is far too narrow."""
        rng, months, customers = np.random.default_rng(4), 8, 150
        month, names = np.repeat(np.arange(months), customers), np.tile(np.arange(customers), months)
        covered = {"both": 0, "customers": 0}
        for seed in range(150):
            values = np.repeat(rng.normal(size=months), customers) + rng.normal(size=months * customers)
            for unit, drawn in (("both", month), ("customers", None)):
                found = percentile_interval(
                    values.mean(), mean_draws(values, CustomerBootstrap(names, 150, seed, drawn))
                )
                covered[unit] += found.low <= 0 <= found.high
        assert covered["both"] / 150 > 0.82  # eight months give a rough interval
        assert covered["customers"] / 150 < 0.4

    @pytest.mark.parametrize("months", [2, 4, 12])
    def test_month_counts_variance_of_mean_unbiased(self, months: int) -> None:
        """With as many draws as months the variance is too small by 1 / months (McCarthy and Snowden, 1985)."""
        values = np.random.default_rng(8).normal(size=months)
        counts = CustomerBootstrap(np.arange(months), 20_000, 0, np.arange(months)).month_counts
        means = (counts * values).sum(axis=1) / counts.sum(axis=1)
        assert means.var() == pytest.approx(values.var(ddof=1) / months, rel=0.05)

    def test_month_counts_single_month_drawn_once_in_each_resample(self) -> None:
        assert (CustomerBootstrap(["a", "b"], 20, 0, [1, 1]).month_counts == 1).all()

    @given(_samples(), st.integers(1, 5), st.integers(1, 3))
    @EXAMPLES
    def test_weighted_sums_any_rows_equal_weights_times_values(self, sample: Any, months: int, columns: int) -> None:
        _, scores, customers, seed = sample
        rng = np.random.default_rng(seed)
        values = np.column_stack([scores, *rng.normal(size=(columns - 1, len(scores)))])
        drawn = CustomerBootstrap(customers, RESAMPLES, seed, rng.integers(0, months, len(scores)))
        rows = rng.random(len(scores)) < 0.7
        for part, where in ((drawn, slice(None)), (drawn.subset(rows), rows), (drawn.one_month(rows), rows)):
            expected = np.concatenate(list(part.weight_chunks())) @ values[where]
            np.testing.assert_allclose(part.weighted_sums(values[where]), expected, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("gain", [0.0, 0.3])
    def test_compare_means_difference_with_its_standard_error(self, gain: float) -> None:
        rng = np.random.default_rng(7)
        left, right = rng.normal(gain, 1, 2000), rng.normal(0, 1, 2000)
        found = compare_means(left, right, CustomerBootstrap(np.arange(2000), 300, 0))
        assert found.mean == pytest.approx((left - right).mean())
        assert found.standard_error == pytest.approx((left - right).std() / np.sqrt(2000), rel=0.15)
        assert found.interval.low < found.mean < found.interval.high
        assert str(found).startswith(f"log loss {found.mean:+.4f}, standard error 0.0")


class TestAverageMonths:
    def test_average_months_drawn_months_weighted_by_their_draws(self) -> None:
        draws = np.array([[0.6, 0.8, 0.9], [0.6, 0.8, 0.9]])
        found = average_months(draws, np.array([[1, 1, 0], [0, 0, 2]]))
        assert found.tolist() == pytest.approx([0.7, 0.9])

    def test_average_months_nan_of_undrawn_month_does_not_matter(self) -> None:
        found = average_months(np.array([[0.6, np.nan], [0.6, np.nan]]), np.array([[2, 0], [1, 1]]))
        assert found.tolist() == pytest.approx([0.6, 0.6])  # a drawn month without a value is left out

    def test_average_months_no_drawn_month_with_value_nan_without_warning(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = average_months(np.array([[np.nan, 0.7], [np.nan, np.nan]]), np.array([[1, 0], [1, 1]]))
        assert np.isnan(found).all()

    @given(st.integers(0, 2**32), st.integers(1, 6))
    @EXAMPLES
    def test_average_months_any_draws_within_range_of_months(self, seed: int, months: int) -> None:
        rng = np.random.default_rng(seed)
        draws = np.where(rng.random((9, months)) < 0.3, np.nan, rng.random((9, months)))
        counts = rng.integers(0, 3, (9, months))
        for value, row, count in zip(average_months(draws, counts), draws, counts, strict=True):
            usable = np.repeat(row, count)
            usable = usable[np.isfinite(usable)]
            np.testing.assert_allclose(value, usable.mean() if len(usable) else np.nan)


class TestInterval:
    def test_percentile_interval_uniform_draws_central_95_percent(self) -> None:
        found = percentile_interval(0.5, np.arange(1001) / 1000)
        assert (found.value, found.low, found.high) == (0.5, 0.025, 0.975)

    def test_percentile_interval_few_nan_draws_ignored(self) -> None:
        draws = np.r_[np.arange(1001) / 1000, np.full(1001, np.nan)]
        assert percentile_interval(0.5, draws).low == 0.025
        assert np.isnan(percentile_interval(0.5, np.r_[draws, np.nan]).low)
        assert percentile_interval(0.5, np.r_[draws, np.nan]).value == 0.5

    def test_percentile_interval_repeated_rows_not_narrower(self) -> None:
        """Nine rows per customer instead of one do not narrow the interval."""
        rng = np.random.default_rng(0)
        churned, scores, names = rng.random(200) < 0.5, rng.random(200), [str(n) for n in range(200)]
        once = roc_auc_draws(churned, scores, CustomerBootstrap(names, 100, 0))
        copies = CustomerBootstrap(names * 9, 100, 0)
        _assert_close(roc_auc_draws(np.tile(churned, 9), np.tile(scores, 9), copies), list(once))

    @pytest.mark.parametrize("rows_of_one", [1, 5])
    def test_percentile_interval_mean_of_customers_95_percent_coverage(self, rows_of_one: int) -> None:
        """Values of a customer are correlated; drawing rows instead of customers would give too narrow intervals."""
        customers, rng = 60, np.random.default_rng(10)
        covered = {"customers": 0, "rows": 0}
        for seed in range(300):
            values = np.repeat(rng.normal(size=customers), rows_of_one) + rng.normal(size=customers * rows_of_one) / 2
            names = np.repeat(np.arange(customers), rows_of_one)
            for unit, drawn in (("customers", names), ("rows", np.arange(len(names)))):
                found = percentile_interval(values.mean(), mean_draws(values, CustomerBootstrap(drawn, 150, seed)))
                covered[unit] += found.low <= 0 <= found.high
        assert 0.88 <= covered["customers"] / 300 <= 0.99
        if rows_of_one > 1:
            assert covered["rows"] / 300 < 0.8

    def test_percentile_interval_roc_auc_95_percent_coverage(self) -> None:
        customers, rows_of_one, shift, spread = 80, 4, 1.0, np.sqrt(1 + 0.5**2)
        truth = float(norm.cdf(shift / (spread * np.sqrt(2))))
        rng, covered = np.random.default_rng(3), 0
        names = np.repeat(np.arange(customers), rows_of_one)
        for seed in range(250):
            churns = rng.random(customers) < 0.5  # of a customer all rows, so pairs are of two customers
            scores = np.repeat(churns * shift + rng.normal(size=customers), rows_of_one)
            scores += rng.normal(size=len(scores)) / 2
            churned = np.repeat(churns, rows_of_one)
            draws = roc_auc_draws(churned, scores, CustomerBootstrap(names, 150, seed))
            found = percentile_interval(float(roc_auc_score(churned, scores)), draws)
            covered += found.low <= truth <= found.high
        assert 0.88 <= covered / 250 <= 0.99


class TestCalibrationBins:
    def test_calibration_bins_distinct_scores_equal_size(self) -> None:
        bins = calibration_bins(np.random.default_rng(0).permutation(1000) / 1000)
        assert np.bincount(bins).tolist() == [100] * _CALIBRATION_BINS

    @given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.25, 0.5])), min_size=1, max_size=60))
    @EXAMPLES
    def test_calibration_bins_any_scores_preserve_order_and_ties(self, values: list[float]) -> None:
        scores = np.array(values)
        bins = calibration_bins(scores)
        assert 0 <= bins.min() <= bins.max() < _CALIBRATION_BINS
        order = np.argsort(scores)
        steps = np.diff(bins[order])
        assert (steps >= 0).all()
        assert (steps[np.diff(scores[order]) == 0] == 0).all()


class TestCalibrationError:
    def test_expected_calibration_error_few_rows_equals_manual_calculation(self) -> None:
        scores = np.repeat([0.2, 0.6], [10, 30])
        churned = np.r_[np.repeat([True, False], [4, 6]), np.repeat([True, False], [15, 15])]
        # 10 rows are 0.2 too low, 30 rows 0.1 too high.
        assert expected_calibration_error(churned, scores) == pytest.approx(0.25 * 0.2 + 0.75 * 0.1)

    def test_expected_calibration_error_constant_score_distance_to_base_rate(self) -> None:
        churned = np.arange(100) < 37
        assert expected_calibration_error(churned, np.full(100, 0.5)) == pytest.approx(0.13)
        assert expected_calibration_error(churned, np.full(100, 0.37)) == pytest.approx(0)

    def test_expected_calibration_error_opposite_errors_do_not_cancel(self) -> None:
        scores = np.repeat([0.1, 0.9], 50)
        churned = np.arange(100) < 50  # the other way round
        assert expected_calibration_error(churned, scores) == pytest.approx(0.9)
