"""Generator of rows per day: independent customers, with seasons, growth, decline, holidays and billing days."""

import numpy as np

from holdfast.ingestion.flow_breaks import DailyFlow, Days

FIRST_DAY = 18_000  # days since 1970
WEEK = np.array([1.3, 1, 1, 1, 1.2, 0.2, 0])


def make_flow(counts: Days, first_day: int = FIRST_DAY) -> DailyFlow:
    """Return the flow of customers per day, with three rows each."""
    rows = np.flatnonzero(counts)
    return DailyFlow(first_day + rows, counts[rows], 3 * counts[rows])


def draw_counts(shape: str, rate: float, seed: int, days: int = 730) -> Days:
    """Draw customers per day; ``shape`` names one or more of the changes below."""
    rng, t = np.random.default_rng(seed), np.arange(days)
    season = t % 365
    changes = {
        "plain": np.ones(days),
        "week": WEEK[t % 7],
        "year": np.exp(np.sin(2 * np.pi * t / 365)),
        "christmas": np.where((season > 330) & (season < 358), 10.0, 1.0),
        "growth": np.exp(3 * t / days - 1.5),
        "decline": np.exp(-5 * t / days),
        "death": 2.0 ** (-np.maximum(t - 365, 0) / 45),
        "weather": np.repeat(rng.gamma(4, 1 / 4, days // 7 + 1), 7)[:days],
        "holidays": np.where(((season >= 212) & (season < 226)) | (season >= 357), 0.0, 1.0),
        "winter": np.where((season >= 300) | (season < 60), 0.0, 1.0),
        "monthly": np.where(t % 30 == 3, 30.0, 0.0),
        "weekly": np.where(t % 7 == 3, 7.0, 0.0),
    }
    mean = np.full(days, rate)
    for name in shape.split():
        mean = mean * changes[name]
    return rng.poisson(mean)
