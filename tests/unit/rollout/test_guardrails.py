"""Tests of the guardrails: error rates of the bounds, and unknown verdicts for few rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.rollout.guardrails import (
    DESCRIPTIONS,
    Guardrail,
    check_exact,
    check_latency,
    check_mean,
    check_psi,
    check_rank_correlation,
    check_share,
)

BOUNDS = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, math.inf)


def _histogram(seconds: list[float]) -> dict[float, float]:
    return {bound: float(sum(one <= bound for one in seconds)) for bound in BOUNDS}


@given(st.integers(0, 60), st.integers(0, 200), st.sampled_from([0.01, 0.1]), st.sampled_from([0.95, 0.999]))
@settings(deadline=None)
def test_check_share_breached_only_for_improbable_hits(hits: int, more: int, limit: float, sure: float) -> None:
    """A true share at the limit gives a breach with probability 1 - certainty at most."""
    from scipy.stats import binom

    figure = check_share("errors", hits, hits + more, limit, sure)
    if hits + more == 0:
        assert figure.verdict == "unknown"
        return
    chance = float(binom.sf(hits - 1, hits + more, limit))
    assert (figure.verdict == "breached") == (chance < 1 - sure) or chance == pytest.approx(1 - sure, rel=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(10, 400))
@settings(deadline=None)
def test_check_rank_correlation_equal_order_good_reversed_order_breached(seed: int, n: int) -> None:
    champion = np.random.default_rng(seed).random(n)
    assert check_rank_correlation(champion**3, champion, 0.5, 0.95).verdict == "good", (
        "calibrated otherwise, ranked the same"
    )
    assert check_rank_correlation(1 - champion, champion, 0.5, 0.999).verdict == "breached"


def test_check_rank_correlation_constant_scores_breached() -> None:
    champion = np.linspace(0, 1, 100)
    assert check_rank_correlation(np.full(100, 0.4), champion, 0.5, 0.95) == Guardrail(
        "rank correlation", 0.0, 0.5, 100, "breached"
    )
    assert check_rank_correlation(champion, np.full(100, 0.4), 0.5, 0.95).verdict == "unknown", (
        "constant champion scores"
    )


def test_checks_hundreds_of_polls_rarely_breached_by_chance() -> None:
    """True correlation 0.6 and true difference 0.2, checked after every tenth customer."""
    rng, breached = np.random.default_rng(0), 0
    for _ in range(40):
        champion = rng.normal(size=1500)
        tried = 0.62 * champion + math.sqrt(1 - 0.62**2) * rng.normal(size=1500)
        differences = rng.exponential(0.2, 1500)
        looks = range(10, 1500, 10)
        bad = any(check_rank_correlation(tried[:n], champion[:n], 0.5, 0.999).verdict == "breached" for n in looks[::3])
        bad |= any(check_mean("difference", differences[:n], 0.25, 0.999).verdict == "breached" for n in looks[::3])
        breached += bad
    assert breached <= 1


def test_check_mean_negative_values_absolute_mean() -> None:
    values = np.full(50, -0.4) + np.linspace(-0.1, 0.1, 50)
    assert check_mean("decisions", values, 0.3, 0.999).verdict == "breached"
    assert check_mean("decisions", values, 0.45, 0.999).verdict == "good"
    assert check_mean("decisions", values[:9], 0.3, 0.95).verdict == "unknown"


class TestLatency:
    def test_check_latency_equal_times_good(self) -> None:
        times = np.random.default_rng(1).lognormal(-5, 1, 2000).tolist()
        for ratio in (1, 2):
            assert check_latency(_histogram(times), _histogram(times), ratio, 0, 0.95).verdict == "good"

    def test_check_latency_tenth_of_slow_responses_breached(self) -> None:
        quick = _histogram([0.005] * 1000)
        slow = _histogram([0.005] * 900 + [0.3] * 100)
        assert check_latency(slow, quick, 2, 50, 0.999).verdict == "breached"
        assert check_latency(slow, quick, 2, 400, 0.999).verdict == "good", "below the floor no response is too slow"
        assert check_latency(slow, slow, 2, 50, 0.999).verdict == "good", "the champion is no quicker"

    def test_check_latency_few_requests_unknown(self) -> None:
        assert check_latency(_histogram([9.0] * 9), _histogram([0.001] * 99), 2, 50, 0.95).verdict == "unknown"
        assert check_latency(_histogram([9.0] * 99), {}, 2, 50, 0.95).verdict == "unknown"


class TestPsi:
    def test_check_psi_above_limit_by_chance_good(self) -> None:
        rng = np.random.default_rng(2)
        tested = rng.random(2000)
        assert check_psi(tested, rng.random(500), 0.001, 0.999).verdict == "good"
        assert check_psi(tested, rng.random(500) * 0.3, 1.0, 0.999).verdict == "breached"
        assert check_psi(tested, rng.random(20) * 0.3, 1.0, 0.999).verdict == "unknown"


def test_summary_every_guardrail_has_description() -> None:
    for name in DESCRIPTIONS:
        figure = check_exact(name, 0.5, 0.25, 40)
        assert figure.verdict == "breached"
        assert figure.summary == f"{DESCRIPTIONS[name]} is 0.5, the limit 0.25 (40 rows)"
