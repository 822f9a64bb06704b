"""Who was scored when, by which version: from the tables of scores, and from the prediction log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import list_score_tables
from holdfast.batch_scoring.scores_table import read_scores
from holdfast.monitoring.performance.first_predictions import read_first_predictions

CohortSource = Literal["scores", "requests"]
CohortPeriod = Literal["month", "week", "day"]


@dataclass(frozen=True)
class ScoredCohort:
    """Customers scored by one version, at one moment or in one month.

    ``rows`` has customer_id, cutoff, churn_probability and offered: 1.0 where the decision was an offer, 0.0 where not,
    NaN where it is not known. It has a row per customer of a moment, and per customer and day of a month. ``closes``:
    nobody joins the cohort after that.
    """

    source: CohortSource
    as_of: datetime
    ends_at: datetime
    version: str
    rows: pd.DataFrame

    @property
    def name(self) -> str:
        """What people read; sorts by time."""
        return f"{self.as_of:%Y-%m-%d}" if self.source == "scores" else f"{self.as_of:%Y-%m} requests"


def start_of_month(as_of: datetime, months: int) -> datetime:
    """The beginning of the month so many months before the one that ends at, or holds, ``as_of``."""
    number = as_of.year * 12 + as_of.month - 1 - months
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def load_score_cohorts(settings: Settings, since: datetime, as_of: datetime, every: CohortPeriod) -> list[ScoredCohort]:
    """The active customers of the tables of scores from ``since`` up to ``as_of``, oldest first.

    Of each month, week or day the first table of a version counts, as it was when it was first written.
    """
    found: dict[tuple[pd.Period, str], ScoredCohort] = {}
    scored = [item for item in list_score_tables(settings) if since <= item.as_of <= as_of]
    # What was acted on came first; a table made again from later data replaced it.
    for item in sorted(scored, key=lambda item: (item.as_of, item.known_at)):
        key = (_period(item.as_of, every), item.model_version)
        if key not in found:
            rows = read_scores(item.path, [ENTITY_KEY, "churn_probability", "will_churn", "active"])
            rows = rows[rows["active"]].assign(cutoff=item.as_of, offered=rows["will_churn"].astype(np.float64))
            kept = rows[[ENTITY_KEY, "cutoff", "churn_probability", "offered"]].reset_index(drop=True)
            found[key] = ScoredCohort("scores", item.as_of, item.as_of, item.model_version, kept)
    return list(found.values())


def load_request_cohorts(
    settings: Settings, since: datetime, as_of: datetime, thresholds: Mapping[str, float]
) -> list[ScoredCohort]:
    """What callers were told from ``since`` on and before ``as_of``, by month and version, oldest first.

    Of a customer the first prediction of each day counts. Its outcome is taken from the midnight before on: what he
    bought that day before he was asked about, the model did not know either.
    """
    frame = read_first_predictions(settings, since, as_of)
    if not len(frame):
        return []
    frame = frame.sort_values("answered_at", kind="stable").assign(cutoff=frame["as_of"].dt.floor("D"))
    frame = frame.drop_duplicates([ENTITY_KEY, "cutoff", "version"]).sort_values(["cutoff", ENTITY_KEY])
    limit = frame["version"].map(thresholds).to_numpy(np.float64)
    offered = np.where(np.isnan(limit), np.nan, frame["churn_probability"] >= limit)
    frame = frame.assign(offered=offered, month=frame["cutoff"].dt.strftime("%Y-%m"))
    cohorts = []
    for (month, version), rows in frame.groupby(["month", "version"]):
        start = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
        closes = start_of_month(start, -1) - timedelta(microseconds=1)
        kept = rows[[ENTITY_KEY, "cutoff", "churn_probability", "offered"]].reset_index(drop=True)
        cohorts.append(ScoredCohort("requests", start, closes, str(version), kept))
    return cohorts


def _period(moment: datetime, every: CohortPeriod) -> pd.Period:
    return (
        pd.Timestamp(moment).tz_convert(UTC).tz_localize(None).to_period({"month": "M", "week": "W", "day": "D"}[every])
    )
