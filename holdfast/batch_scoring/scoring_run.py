"""Scoring of all customers at one time, once per champion and state of the data, and the days of a backfill."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from feature_repo.settings import Settings
from holdfast.batch_scoring.champion_model import ScoringModel
from holdfast.batch_scoring.population import load_all_customers
from holdfast.batch_scoring.score_store import (
    ScoreTable,
    archive_previous,
    count_decisions,
    current_score_table,
    score_metadata,
    scores_key,
    scores_lock,
    sum_value_at_risk,
)
from holdfast.batch_scoring.scores_table import build_scores, scores_path, write_scores
from holdfast.batch_scoring.spend_model import NO_SPEND_MODEL, SpendModel, predict_spend
from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_count, format_minute
from holdfast.feature_store.snapshots import effective_known_at
from holdfast.ingestion.batches import list_batches
from holdfast.ingestion.history_extent import read_extent


class BackfillRangeError(HoldfastError):
    """Range of days that cannot be scored."""


class NoActiveCustomersError(HoldfastError):
    """Data that end so long before the scoring time that every score would be an extrapolation."""


@dataclass(frozen=True)
class ScoreResult:
    """Result of a scoring run.

    Attributes:
        table: Current score table of the time.
        customers: All scored customers.
        active: Active customers.
        will_churn: Active customers at or above the threshold.
        written: False if the same champion had scored the same data before.
        replaced: Version of the replaced table, None without one.
        value_at_risk: Sum over the active customers; None without a spend model.
        spend_problem: Why the spend model could not be used.
    """

    table: ScoreTable
    customers: int
    active: int
    will_churn: int
    written: bool
    replaced: str | None
    value_at_risk: float | None = None
    spend_problem: str = ""

    def summary(self) -> str:
        """Format the result as one line.

        Returns:
            The line.
        """
        table = self.table
        text = (
            f"{format_count(self.customers, 'customer')} as of {format_minute(table.as_of)} by version "
            f"{table.model_version}: {self.active:,} active, {self.will_churn:,} of them will churn (threshold "
            f"{table.threshold:.3g})"
        )
        if self.value_at_risk is not None:
            text += f"; value at risk of the active {self.value_at_risk:,.0f}"
        if self.spend_problem:
            text += f"; no expected spend: {self.spend_problem.rstrip('.')}"
        if not self.written:
            return f"Scored before, from the same data: {text}. Nothing changed. {table.path}"
        archived = f" The table of version {self.replaced} is stored in {table.path.parent / 'replaced'}."
        return f"Scored {text}. {table.path}{archived if self.replaced else ''}"


def score_customers(
    settings: Settings,
    champion: ScoringModel,
    as_of: datetime,
    known_at: datetime,
    replace: bool = True,
    spend: SpendModel = NO_SPEND_MODEL,
) -> ScoreResult:
    """Score every customer known by ``known_at`` and store the table.

    An existing table of the same models and data is left unchanged; without ``replace`` any existing table is. A
    problem of the spend model removes no spend from an existing table.

    Args:
        settings: Settings with the data folder.
        champion: Model that scores.
        as_of: Time of the scores.
        known_at: Arrival time up to which data count.
        replace: Replace the table of another champion or of earlier data.
        spend: Model of the expected spend.

    Returns:
        Counts and path of the table.

    Raises:
        NoDataError: No transaction before ``as_of`` had arrived by ``known_at``.
        NoActiveCustomersError: No customer was active.
        MissingVersionError: The champion's version of the feature definitions is not registered.
        InputMismatchError: The inputs of the champion differ from the inputs of the feature service.
    """
    effective = effective_known_at(list_batches(settings), as_of, known_at)
    with scores_lock(settings):
        earlier = current_score_table(settings, as_of)
        key = scores_key(champion.contract, as_of, effective, spend.contract)
        if earlier is not None and (earlier.key == key or not replace):
            return _result(earlier, spend, written=False)
        definitions = champion.contract.definitions
        customers = load_all_customers(settings, definitions, as_of, effective)
        spend, expected = predict_spend(settings, spend, customers, definitions, effective)
        is_scored = earlier is not None and earlier.churn_key == scores_key(champion.contract, as_of, effective)
        if earlier is not None and is_scored and spend.problem:
            return _result(earlier, spend, written=False)
        table = build_scores(customers, champion, expected, spend.version)
        if not table["active"].any():
            raise NoActiveCustomersError(
                f"There is no customer {champion.contract.terms.describe_customers(format_minute(as_of))}, as known at "
                f"{format_minute(known_at)}: the champion was trained on such customers only. Ingest newer data, or "
                "choose another time."
            )
        if earlier is not None:
            archive_previous(settings, earlier)
        path = scores_path(settings.scores, as_of)
        write_scores(table, path, score_metadata(champion.contract, as_of, effective, spend.contract))
        table_now = current_score_table(settings, as_of)
    assert table_now is not None
    return _result(table_now, spend, written=True, replaced=earlier.model_version if earlier else None)


def list_backfill_days(settings: Settings, start: date, end: date, every: int) -> list[datetime]:
    """List the scoring times of a backfill.

    Args:
        settings: Settings with the data folder.
        start: First day, UTC, included.
        end: Last day, UTC, included.
        every: Days between two scoring times, at least 1.

    Returns:
        Midnights, UTC, in ascending order.

    Raises:
        BackfillRangeError: The range is empty or not covered by data.
    """
    if every < 1:
        raise BackfillRangeError(f"The interval of {format_count(every, 'day')} is too short: give 1 or more.")
    if start > end:
        raise BackfillRangeError(f"The range is empty: start {start} is after end {end}.")
    extent = read_extent(settings)
    if extent is None:
        raise BackfillRangeError("There are no transactions to score from: run `python -m flows.ingest` first.")
    days = [
        datetime.combine(start, time(), UTC) + timedelta(days=days) for days in range(0, (end - start).days + 1, every)
    ]
    first, last = extent.begin, extent.end
    if days[0] <= first or days[-1] > last:
        earliest = (first + timedelta(days=1)).date()
        raise BackfillRangeError(
            f"{start} to {end} is not covered by data: the first transaction is of {first:%Y-%m-%d}, the last of "
            f"{last - timedelta(days=1):%Y-%m-%d}. Choose days from {earliest} to {last:%Y-%m-%d}, or ingest more."
        )
    return days


def unscored_days(settings: Settings, days: Sequence[datetime]) -> list[datetime]:
    """Select the days without a score table of any version.

    Args:
        settings: Settings with the data folder.
        days: Scoring times, UTC.

    Returns:
        The days without scores, in the given order.
    """
    return [day for day in days if current_score_table(settings, day) is None]


def _result(table: ScoreTable, spend: SpendModel, written: bool, replaced: str | None = None) -> ScoreResult:
    counts, risk = count_decisions(table.path), sum_value_at_risk(table.path)
    return ScoreResult(table, *counts, written, replaced, risk, spend.problem)
