"""Backfill: scores of past days without scores. `python -m flows.backfill --start 1998-05-01 --end 1998-06-30`."""

from datetime import date, datetime
from typing import TYPE_CHECKING, cast

from prefect import flow
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_table
from flows._cli import run_flow
from flows.score import load_champion_task, load_spend_task, score_task
from holdfast.core.formatting import format_count
from holdfast.ingestion.as_of import resolve_known_at
from holdfast.reporting.artifact_tables import score_rows
from holdfast.reporting.flow_results import BackfillResult
from holdfast.runtime.progress import report_progress

if TYPE_CHECKING:
    from uuid import UUID

    from holdfast.batch_scoring.scoring_run import ScoreResult


@flow(name="backfill", flow_run_name="backfill {start} to {end}", persist_result=False)
def backfill(start: date, end: date, every: int = 1) -> BackfillResult:
    """Build the snapshots of past days and score them with the champion; days with scores are skipped.

    The online store is not changed. A killed backfill resumes when it is started again. The champion may have been
    trained on outcomes of the days that it scores: such scores do not show its performance.

    Args:
        start: The first day; scores are as of its midnight (UTC).
        end: The last day.
        every: Score every n-th day.
    """
    from holdfast.batch_scoring.scoring_run import list_backfill_days, unscored_days

    settings = configure()
    days = list_backfill_days(settings, start, end, every)
    wanted = unscored_days(settings, days)
    if skipped := len(days) - len(wanted):
        report_progress(f"skipped, because they have scores: {skipped} of {format_count(len(days), 'day')}")
    results = _score_days(settings, wanted) if wanted else []
    scored = [result.table.as_of for result in results if result.written]
    version = results[0].table.model_version if results else None
    return BackfillResult(scored, [day for day in days if day not in set(scored)], version)


def _score_days(settings: Settings, days: list[datetime]) -> list["ScoreResult"]:
    champion, known_at, results = load_champion_task(settings), resolve_known_at(None), list["ScoreResult"]()
    spend = load_spend_task(settings)
    artifact = cast("UUID", create_progress_artifact(0.0, key="backfill", description=format_count(len(days), "day")))
    for number, day in enumerate(days, start=1):
        report_progress(f"scoring {day:%Y-%m-%d}, day {number} of {len(days)}")
        results.append(score_task(settings, champion, spend, day, known_at, replace=False))
        update_progress_artifact(artifact, 100 * number / len(days))
    publish_table(score_rows(results), key="backfill-days", description="Days scored by the backfill")
    return results


if __name__ == "__main__":
    run_flow(backfill)
