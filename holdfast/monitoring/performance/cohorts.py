"""Scored cohorts from the score tables and from the prediction log."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import ScoreTable, list_score_tables
from holdfast.batch_scoring.scores_table import read_scores
from holdfast.models.contract import ServedModel
from holdfast.monitoring.performance.first_predictions import read_first_predictions
from holdfast.monitoring.settings import CohortPeriod

CohortSource = Literal["scores", "requests"]
_COLUMNS = [ENTITY_KEY, "cutoff", "churn_probability", "offered"]


@dataclass(frozen=True)
class ScoredCohort:
    """Customers scored by one version, at one time (score table) or in one month (requests).

    Attributes:
        ends_at: Time after which the cohort does not grow.
        rows: Columns customer_id, cutoff, churn_probability and offered (1.0 if the decision was an offer, 0.0 if not,
            NaN if unknown); one row per customer of a score table, one per customer and day of a month of requests.
    """

    source: CohortSource
    as_of: datetime
    ends_at: datetime
    version: str
    rows: pd.DataFrame

    @property
    def name(self) -> str:
        """Return the display name, which sorts by time."""
        return f"{self.as_of:%Y-%m-%d}" if self.source == "scores" else f"{self.as_of:%Y-%m} requests"


def start_of_month(as_of: datetime, months: int) -> datetime:
    """Return the start of an earlier month.

    Args:
        as_of: Any time.
        months: Number of months before the month of ``as_of``; negative for a later month.

    Returns:
        Midnight UTC of the first day of the month.
    """
    number = as_of.year * 12 + as_of.month - 1 - months
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def load_score_cohorts(settings: Settings, since: datetime, as_of: datetime, every: CohortPeriod) -> list[ScoredCohort]:
    """Load the active customers of the score tables from ``since`` to ``as_of``.

    Of each period, the first table of a version is a cohort, in its first version: a table that was recomputed from
    later data replaced the one that was acted on.

    Args:
        settings: Settings with the folder of the scores.
        since: Earliest as_of of a table.
        as_of: Latest as_of of a table.
        every: Period.

    Returns:
        The cohorts, oldest first.
    """
    cohorts: dict[tuple[pd.Period, str], ScoredCohort] = {}
    for period, item in list_period_tables(settings, since, as_of, every):
        key = (period, item.model_version)
        if key not in cohorts:
            rows = read_scores(item.path, [ENTITY_KEY, "churn_probability", "will_churn", "active"])
            rows = rows[rows["active"]].assign(cutoff=item.as_of, offered=rows["will_churn"].astype(np.float64))
            rows = rows[_COLUMNS].reset_index(drop=True)
            cohorts[key] = ScoredCohort("scores", item.as_of, item.as_of, item.model_version, rows)
    return list(cohorts.values())


def list_period_tables(
    settings: Settings, since: datetime, as_of: datetime, every: CohortPeriod
) -> Iterator[tuple[pd.Period, ScoreTable]]:
    """List the score tables from ``since`` to ``as_of`` with their periods, oldest and first version first.

    Args:
        settings: Settings with the folder of the scores.
        since: Earliest as_of of a table.
        as_of: Latest as_of of a table.
        every: Period.

    Yields:
        Period and table.
    """
    tables = [item for item in list_score_tables(settings) if since <= item.as_of <= as_of]
    for item in sorted(tables, key=lambda item: (item.as_of, item.known_at)):
        yield _period(item.as_of, every), item


def load_request_cohorts(
    settings: Settings, since: datetime, as_of: datetime, contracts: Mapping[str, ServedModel]
) -> list[ScoredCohort]:
    """Load the predictions returned to callers since ``since`` and before ``as_of``, by month and version.

    The first prediction of a customer on each day is used. Its horizon starts at the midnight before, because the
    model does not see the customer's purchases of that day either.

    Args:
        settings: Settings with the prediction log.
        since: Earliest as_of of a prediction.
        as_of: Latest as_of of a prediction, exclusive.
        contracts: Contract by version: its threshold and its rule for active customers. Of other versions, the
            customers with known recency are left out.

    Returns:
        The cohorts, oldest first.
    """
    rules = {version: contract.terms.activity for version, contract in contracts.items()}
    frame = read_first_predictions(settings, since, as_of, rules)
    if not len(frame):
        return []
    frame = frame.sort_values("answered_at", kind="stable").assign(cutoff=frame["as_of"].dt.floor("D"))
    frame = frame.drop_duplicates([ENTITY_KEY, "cutoff", "version"]).sort_values(["cutoff", ENTITY_KEY])
    thresholds = {version: contract.threshold for version, contract in contracts.items()}
    limit = frame["version"].map(thresholds).to_numpy(np.float64)
    offered = np.where(np.isnan(limit), np.nan, frame["churn_probability"] >= limit)
    frame = frame.assign(offered=offered, month=frame["cutoff"].dt.strftime("%Y-%m"))
    cohorts = []
    for (month, version), rows in frame.groupby(["month", "version"]):
        start = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
        ends_at = start_of_month(start, -1) - timedelta(microseconds=1)
        cohorts.append(ScoredCohort("requests", start, ends_at, str(version), rows[_COLUMNS].reset_index(drop=True)))
    return cohorts


def _period(time: datetime, every: CohortPeriod) -> pd.Period:
    code = {"month": "M", "week": "W", "day": "D"}[every]
    return pd.Timestamp(time).tz_convert(UTC).tz_localize(None).to_period(code)
