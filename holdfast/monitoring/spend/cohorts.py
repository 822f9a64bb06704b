"""Cohorts of the spend model, from the score tables."""

from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow.parquet as pq

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import ScoreTable, list_score_tables
from holdfast.batch_scoring.scores_table import read_scores
from holdfast.monitoring.performance.cohorts import list_period_tables
from holdfast.monitoring.settings import CohortPeriod

_SPEND = "expected_spend"


@dataclass(frozen=True)
class SpendCohort:
    """Active customers whose spend one version expected at one time.

    Attributes:
        rows: Columns customer_id, cutoff and expected_spend; one row per customer.
    """

    as_of: datetime
    version: str
    rows: pd.DataFrame

    @property
    def name(self) -> str:
        """Return the display name, which sorts by time."""
        return f"{self.as_of:%Y-%m-%d}"


def load_spend_cohorts(settings: Settings, since: datetime, as_of: datetime, every: CohortPeriod) -> list[SpendCohort]:
    """Load the first cohort of each period and version of the spend model.

    Args:
        settings: Settings with the folder of the scores.
        since: Earliest as_of of a table.
        as_of: Latest as_of of a table.
        every: Period.

    Returns:
        The cohorts, oldest first.
    """
    cohorts: dict[tuple[pd.Period, str], SpendCohort] = {}
    for period, table in list_period_tables(settings, since, as_of, every):
        cohort = _read_cohort(table)
        if cohort is not None:
            cohorts.setdefault((period, cohort.version), cohort)
    return list(cohorts.values())


def load_latest_cohort(settings: Settings, as_of: datetime) -> SpendCohort | None:
    """Load the newest current score table, if it has expected spend.

    Args:
        settings: Settings with the folder of the scores.
        as_of: Latest as_of of the table.

    Returns:
        The cohort; None without a table, or without expected spend in it.
    """
    tables = [table for table in list_score_tables(settings) if table.current and table.as_of <= as_of]
    return _read_cohort(tables[-1]) if tables else None


def _read_cohort(table: ScoreTable) -> SpendCohort | None:
    if _SPEND not in pq.read_schema(table.path).names:  # a table of an early release
        return None
    rows = read_scores(table.path, [ENTITY_KEY, _SPEND, "spend_version", "active"])
    rows = rows[rows["active"] & rows[_SPEND].notna()]
    if not len(rows):
        return None
    version = str(rows["spend_version"].iloc[0])  # one model scores a table
    return SpendCohort(
        table.as_of, version, rows[[ENTITY_KEY, _SPEND]].assign(cutoff=table.as_of).reset_index(drop=True)
    )
