"""Tasks of the main job."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_markdown
from flows._tasks import task
from holdfast.core.path_names import split_paths
from holdfast.core.plain_text import fence
from holdfast.feature_store.snapshots import find_recent_customer
from holdfast.ingestion.as_of import resolve_known_at
from holdfast.ingestion.datasets import pair_sources, require_no_replay
from holdfast.ingestion.results import IngestResult
from holdfast.inspection.proposed_mapping import provide_mapping
from holdfast.models.label import LabelName
from holdfast.packaging.smoke_test import run_smoke_test
from holdfast.reporting.run_report import RunReport, write_report
from holdfast.reporting.run_summary import RunSummary, write_summary
from holdfast.reporting.stage_timer import StageTimer
from holdfast.training.history import ShopHistory, read_history
from holdfast.training.settings import TrainingSettings


def configure_churn(
    label: LabelName | None, horizon_days: int | None, activity_days: int | None, grace_days: int | None
) -> Settings:
    """Complete the environment with the definition of churn, for the flows of this run and the service that it starts.

    Args:
        label: What churn is; None for the environment's value, here and below.
        horizon_days: Days without a purchase after which a customer has churned, or within which a subscription ends.
        activity_days: Days with a purchase that make a customer active.
        grace_days: Days after the end of a subscription until which a renewal counts.

    Returns:
        The settings of this environment.
    """
    given = {"label": label, "horizon_days": horizon_days, "activity_days": activity_days, "grace_days": grace_days}
    for field, value in given.items():
        if value is not None:
            os.environ[Settings.variable(field)] = str(value)
    return configure()


def find_mappings(
    settings: Settings, stages: StageTimer, sources: list[str], mappings: list[str], training: TrainingSettings
) -> list[tuple[str, str]]:
    """Find the mapping of each source; for a single source without one, a mapping is proposed from its values.

    Args:
        settings: Settings with the data folder.
        stages: Stages of the main job.
        sources: Files or folders; none for a known data set.
        mappings: YAML files, if they were given.
        training: Settings with the history before the earliest cut-off.

    Returns:
        Source and mapping of each ingest; none for a known data set.

    Raises:
        IngestError: There are fewer mappings than sources, or more, or the data folder replays a data set.
    """
    found = split_paths(sources)
    if found:
        require_no_replay(settings, found[0])
    if len(found) == 1 and not mappings:
        with stages.stage("inspect", "proposing a mapping") as stage:
            proposed = provide_mapping(settings, Path(found[0]).expanduser(), training.min_history_days)
            mappings, stage.result = [str(proposed.path)], proposed.summary
    return pair_sources(found, mappings)


def summarize_ingests(results: list[IngestResult]) -> str:
    """Summarize the ingests of a run in one line.

    Args:
        results: One or more results.

    Returns:
        Status and rows of each source, with its kind where there are several.
    """
    return "; ".join(
        f"{f'{result.kind} ' if len(results) > 1 else ''}{result.status}: {result.rows_added:,} new of "
        f"{result.rows_read:,} read"
        for result in results
    )


@task(name="read history")
def read_history_task(settings: Settings, as_of: datetime) -> ShopHistory:
    """Read the length of the history and the gaps between purchases from the batches."""
    return read_history(settings, as_of, resolve_known_at(None))


@task(name="smoke test")
def smoke_test_task(settings: Settings, bento: str, as_of: datetime, known_at: datetime) -> dict[str, Any]:
    """Serve the bento in another process and request one prediction over HTTP."""
    customer = find_recent_customer(settings, as_of, known_at)
    return run_smoke_test(bento, settings, customer, as_of)


@task(name="publish report")
def publish_report_task(settings: Settings, report: RunReport) -> Path:
    """Write the report of a run without a new model, and publish it in the UI."""
    path = write_report(report, settings.data)
    publish_markdown(report.text, key="run-report", description=f"Main job: {report.outcome}")
    return path


@task(name="publish summary")
def publish_summary_task(settings: Settings, summary: RunSummary) -> None:
    """Write the summary of a run with a served model, and publish it in the UI."""
    write_summary(summary, settings.data)
    content = fence(summary.model_dump_json(indent=2), "json")
    publish_markdown(content, key="run-summary", description="Summary of the run")
