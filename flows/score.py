"""Batch scores of all customers with reason codes. `python -m flows.score --as-of 1998-07-01`."""

from datetime import datetime
from typing import TYPE_CHECKING

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_plot, publish_table
from flows._cli import run_flow
from flows._tasks import run_name, run_time, task
from holdfast.core.plot_style import render_png
from holdfast.ingestion.as_of import resolve_daily_as_of, resolve_known_at
from holdfast.runtime.progress import report_progress

if TYPE_CHECKING:
    from holdfast.batch_scoring.champion_model import ScoringModel
    from holdfast.batch_scoring.scoring_run import ScoreResult
    from holdfast.batch_scoring.spend_model import SpendModel


@task(name="champion")
def load_champion_task(settings: Settings) -> "ScoringModel":
    """Load the champion."""
    from holdfast.batch_scoring.champion_model import load_champion

    return load_champion(settings)


@task(name="spend champion")
def load_spend_task(settings: Settings) -> "SpendModel":
    """Load the champion of the spend model; without one the scores have no expected spend."""
    from holdfast.batch_scoring.spend_model import load_spend_model

    return load_spend_model(settings)


@task(task_run_name="score {as_of:%Y-%m-%d}")
def score_task(
    settings: Settings,
    champion: "ScoringModel",
    spend: "SpendModel",
    as_of: datetime,
    known_at: datetime,
    replace: bool = True,
) -> "ScoreResult":
    """Compute scores, reason codes and expected spend of all customers, and write one Parquet file."""
    from holdfast.batch_scoring.scoring_run import score_customers

    return score_customers(settings, champion, as_of, known_at, replace, spend)


@task(name="publish report")
def publish_scores_task(result: "ScoreResult") -> None:
    """Publish the counts and the histogram of the scores in the Prefect UI."""
    from holdfast.batch_scoring.scores_table import read_scores
    from holdfast.batch_scoring.summary import plot_score_histogram, summarize_decisions

    scores = read_scores(result.table.path)
    publish_table(summarize_decisions(scores), key="scores", description=result.summary())
    publish_plot(render_png(plot_score_histogram(scores)), key="scores-plot", description="Distribution of the scores")


@flow(name="score", flow_run_name=run_name, persist_result=False)
def score(as_of: datetime | None = None, known_at: datetime | None = None) -> "ScoreResult":
    """Score all customers with the champions: probability, decision, reason codes, expected spend, value at risk.

    Args:
        as_of: Time of the scores; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
        known_at: Use only data that had arrived by then; all data when left out.
    """
    settings = configure()
    time, known = resolve_daily_as_of(as_of, settings, run_time()), resolve_known_at(known_at)
    champion, spend = load_champion_task(settings), load_spend_task(settings)
    report_progress(f"scoring all customers with version {champion.contract.model_version}")
    result = score_task(settings, champion, spend, time, known)
    if result.written:
        publish_scores_task(result)
    return result


if __name__ == "__main__":
    run_flow(score)
