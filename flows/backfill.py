"""Backfill: scores of past days that have none. `python -m flows.backfill --start 1998-05-01 --end 1998-06-30`"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, cast

import typer
from prefect import flow
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from feature_repo.settings import Settings
from flows import configure
from flows.score import champion_task, score_task
from holdfast.ingestion.as_of import resolve_known_at
from holdfast.runtime.progress import report_progress

if TYPE_CHECKING:
    from uuid import UUID

    from holdfast.batch_scoring.scoring_run import ScoreResult


@dataclass(frozen=True)
class BackfillResult:
    """The days that were scored now, and those that had scores, which are left as they were."""

    scored: list[datetime]
    skipped: list[datetime]
    model_version: str | None

    def summary(self) -> str:
        """In one line."""
        told = f"Scored {_days(self.scored)}" + (f" with version {self.model_version}" if self.scored else "")
        return told + (f"; skipped {_days(self.skipped)}: there were scores." if self.skipped else ".")


@flow(name="backfill", flow_run_name="backfill {start} to {end}", persist_result=False)
def backfill(start: date, end: date, every: int = 1) -> BackfillResult:
    """Build the snapshots of past days and score them with the champion; days that have scores are skipped.

    The online store is not touched. A backfill that was killed goes on where it stopped when it is run again. A
    version knows what it was trained on: its scores of earlier days are no evidence of how good it is.

    Args:
        start: The first day; its midnight (UTC) is scored.
        end: The last day.
        every: Score one day out of so many.
    """
    from holdfast.batch_scoring.backfill_range import list_backfill_days, unscored_days

    settings = configure()
    days = list_backfill_days(settings, start, end, every)
    wanted = unscored_days(settings, days)
    if skipped := len(days) - len(wanted):
        report_progress(f"{skipped} of {len(days)} days have scores and are skipped")
    results = _scored(settings, wanted) if wanted else []
    scored = [result.as_of for result in results if result.written]
    version = results[0].model_version if results else None
    return BackfillResult(scored, [day for day in days if day not in set(scored)], version)


def _scored(settings: Settings, days: list[datetime]) -> list["ScoreResult"]:
    champion, known_at, results = champion_task(settings), resolve_known_at(None), list["ScoreResult"]()
    artifact = cast("UUID", create_progress_artifact(0.0, key="backfill", description=f"{len(days)} days"))
    for number, day in enumerate(days, start=1):
        report_progress(f"scoring {day:%Y-%m-%d}, day {number} of {len(days)}")
        results.append(score_task(settings, champion, day, known_at, replace=False))
        update_progress_artifact(artifact, 100 * number / len(days))
    create_table_artifact(
        [
            {
                "day": f"{result.as_of:%Y-%m-%d}",
                "version": result.model_version,
                "scored": result.customers,
                "active": result.active,
                "will churn": result.will_churn,
            }
            for result in results
        ],
        key="backfill-days",
        description="The days that had no scores",
    )
    return results


def _days(days: list[datetime]) -> str:
    count = f"{len(days):,} day{'' if len(days) == 1 else 's'}"
    return f"{count} ({days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d})" if days else "no day"


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(backfill, show=lambda result: typer.echo(result.summary()))
