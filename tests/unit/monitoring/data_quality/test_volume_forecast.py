"""Volume forecast: distribution, weekdays, and short history."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from holdfast.monitoring.data_quality.volume_forecast import VolumeForecast, forecast_volume

DAY = timedelta(days=1)
FIRST = date(2024, 1, 1)  # a Monday


def counts(values: list[int]) -> pd.Series:
    return pd.Series(values, index=[FIRST + number * DAY for number in range(len(values))])


def test_forecast_mean_depends_on_weekday() -> None:
    history = counts([100, 100, 100, 100, 100, 30, 0] * 4)
    monday, saturday, sunday = (FIRST + (28 + day) * DAY for day in (0, 5, 6))
    found = {day: forecast_volume(history, [day], 8, 14) for day in (monday, saturday, sunday)}
    assert [round(item.mean) for item in found.values() if item] == [100, 30, 0]
    assert found[sunday] is not None and found[sunday].p_value(0) == 1
    assert found[sunday].p_value(20) < 1e-6
    assert found[monday] is not None and found[monday].p_value(0) < 1e-6


def test_forecast_of_several_days_is_their_sum() -> None:
    history = counts([3] * 42)
    after = FIRST + 42 * DAY
    one, three = (
        forecast_volume(history, [after], 8, 14),
        forecast_volume(history, [after + day * DAY for day in range(3)], 8, 14),
    )
    assert one and three and three.mean == pytest.approx(3 * one.mean)
    assert one.p_value(0) > 0.01 > three.p_value(0)


def test_forecast_with_short_history_is_none() -> None:
    assert forecast_volume(counts([5] * 13), [FIRST + 13 * DAY], 8, 14) is None
    assert forecast_volume(counts([5] * 14), [FIRST + 14 * DAY], 8, 14) is not None
    assert forecast_volume(counts([5] * 100), [FIRST + 100 * DAY], 2, 15) is None  # two weeks of history are used


def test_forecast_overdispersion_widens_interval() -> None:
    rng = np.random.default_rng(0)
    steady = forecast_volume(counts(rng.poisson(80, 56).tolist()), [FIRST + 56 * DAY], 8, 14)
    wild = forecast_volume(counts(rng.negative_binomial(8, 0.09, 56).tolist()), [FIRST + 56 * DAY], 8, 14)
    assert steady and wild
    assert steady.p_value(40) < 1e-4 < 0.05 < wild.p_value(40)
    assert steady.variance / steady.mean < 2 < wild.variance / wild.mean


def test_forecast_false_alarm_rate_is_at_most_nominal() -> None:
    """Of days drawn from overdispersed counts, at most about 5% are beyond the 5% level."""
    rng, beyond = np.random.default_rng(1), 0
    for _ in range(200):
        values = rng.negative_binomial(20, 0.2, 57).tolist()
        found = forecast_volume(counts(values[:56]), [FIRST + 56 * DAY], 8, 14)
        assert found is not None
        beyond += found.p_value(values[56]) < 0.05
    assert 2 <= beyond <= 18


def test_forecast_distribution_is_negative_binomial_or_poisson() -> None:
    poisson, wider = VolumeForecast(20, 20), VolumeForecast(20, 60)
    assert poisson.p_value(8) == pytest.approx(2 * stats.poisson(20).cdf(8))
    assert poisson.interval(0.95) == stats.poisson(20).interval(0.95)
    draws = stats.nbinom(10, 1 / 3).rvs(200_000, random_state=0)
    assert (draws.mean(), draws.var()) == pytest.approx((20, 60), rel=0.02)
    assert wider.p_value(6) == pytest.approx(2 * np.mean(draws <= 6), rel=0.05)
    assert poisson.p_value(20) == 1
