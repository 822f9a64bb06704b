"""Lifecycle: from raw transactions to a prediction of the served model. `python -m flows.lifecycle`."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from rich.console import Console

from feature_repo.settings import Settings
from flows import configure
from flows._cli import run_flow
from flows._tasks import run_name, run_time, task
from flows.features import features
from flows.ingest import ingest
from flows.package import package
from flows.promote import promote
from flows.train import train
from holdfast.feature_store.snapshots import find_recent_customer
from holdfast.ingestion.as_of import resolve_daily_as_of
from holdfast.ingestion.batches import list_batches
from holdfast.ingestion.datasets import require_no_replay
from holdfast.packaging.smoke_test import run_smoke_test
from holdfast.reporting.flow_results import TrainResult
from holdfast.reporting.run_summary import RunSummary, print_summary, write_summary
from holdfast.reporting.stage_timer import StageTimer


@task(name="smoke test")
def smoke_test_task(settings: Settings, bento: str, as_of: datetime, known_at: datetime) -> dict[str, Any]:
    """Serve the bento in another process and request one prediction over HTTP."""
    customer = find_recent_customer(settings, as_of, known_at)
    return run_smoke_test(bento, settings, customer, as_of)


@flow(name="lifecycle", flow_run_name=run_name, persist_result=False)
def lifecycle(
    source: str | None = None, mapping: str | None = None, dataset: str = "cdnow", as_of: datetime | None = None
) -> RunSummary:
    """Ingest, build features, train, promote, package, serve and request a prediction.

    Args:
        source: File or folder of transactions; needs a mapping.
        mapping: YAML file that maps the columns.
        dataset: Known data set, read where there is no source.
        as_of: Time of features and training; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
    """
    settings, stages = configure(), StageTimer()
    if source is not None:
        require_no_replay(settings, source)
    with stages.stage("ingest", "checking transactions") as stage:
        ingested = ingest(source, mapping, dataset)
        stage.result = f"{ingested.status}: {ingested.rows_added:,} of {ingested.rows_read:,} rows new"
    settings = Settings.from_environment()  # again: the ingested data may determine the clock
    time = resolve_daily_as_of(as_of, settings, run_time())
    with stages.stage("features", "building snapshots, materializing, comparing every value") as stage:
        built = features(time)
        stage.result = built.state_summary
    with stages.stage("train", "joining features to labels") as stage:
        trained = train(time)
        action = "registered" if trained.trained else "found"
        stage.result = f"{action} version {trained.model_version}: {trained.evaluation.chosen}"
    with stages.stage("promote", "promoting the version") as stage:
        champion, stage.result = _promote(trained)
    with stages.stage("package", "building the bento") as stage:
        bento = stage.result = package()
    with stages.stage("serve", "starting the bento, requesting a prediction") as stage:
        prediction = smoke_test_task(settings, bento, time, built.known_at)
        stage.result = f"customer {prediction['customer_id']} churns with {prediction['churn_probability']:.0%}"

    summary = RunSummary.from_results(
        list_batches(settings),
        built,
        trained,
        champion=champion,
        bento=bento,
        prediction=prediction,
        seconds=stages.seconds,
    )
    write_summary(summary, settings.data / "run-summary.json")
    create_markdown_artifact(
        f"```json\n{summary.model_dump_json(indent=2)}\n```", key="run-summary", description="Summary of the run"
    )
    return summary


def _promote(trained: TrainResult) -> tuple[str, str]:
    """Promote the version if it passed its gates; return the champion and a description.

    A version that failed leaves the champion unchanged; without a champion there is nothing to serve.

    Raises:
        PromotionRefusedError: There is no champion.
    """
    from holdfast.model_versions.aliases import get_champion_version
    from holdfast.training.mlflow_client import open_registry

    champion = get_champion_version(open_registry(Settings.from_environment()))
    if champion is not None and not trained.gates.passed:
        failed = ", ".join(trained.gates.failed)
        return champion, f"version {trained.model_version} failed {failed}; version {champion} stays champion"
    promoted = promote(trained.model_version)
    return promoted.version, f"champion is version {promoted.version}{'' if promoted.moved else ', as before'}"


def _print(summary: RunSummary) -> None:
    print_summary(
        summary, Settings.from_environment().data / "run-summary.json", Console(highlight=False, soft_wrap=True)
    )


if __name__ == "__main__":
    run_flow(lifecycle, show=_print)
