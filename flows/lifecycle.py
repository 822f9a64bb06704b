"""The whole main job: from raw transactions to a live prediction. `python -m flows.lifecycle`"""

from datetime import datetime

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from rich.console import Console

from feature_repo.settings import Settings, load_settings
from flows import configure
from flows._tasks import run_name, run_time, task
from flows.features import features
from flows.ingest import ingest
from flows.package import package
from flows.promote import promote
from flows.train import TrainResult, train
from holdfast.ingestion.as_of import resolve_daily_as_of
from holdfast.ingestion.datasets import require_no_replay
from holdfast.reporting.run_summary import GateCounts, ParityCounts, RunSummary, print_summary, write_summary
from holdfast.reporting.stage_timer import StageTimer


@task(name="ask the live service")
def live_prediction_task(settings: Settings, bento: str, as_of: datetime, known_at: datetime) -> dict:
    """Serve the bento in a process of its own and ask it for one prediction over HTTP."""
    from holdfast.feature_store.snapshots import find_recent_customer
    from holdfast.packaging.smoke_test import run_smoke_test

    customer = find_recent_customer(settings, as_of, known_at)
    return run_smoke_test(bento, settings, customer, as_of).prediction


@flow(name="lifecycle", flow_run_name=run_name, persist_result=False)
def lifecycle(
    source: str | None = None, mapping: str | None = None, dataset: str = "cdnow", as_of: datetime | None = None
) -> RunSummary:
    """Ingest, build features, train, promote, package, and ask the live service.

    Args:
        source: File or folder of transactions; needs a mapping.
        mapping: YAML that says which column is what.
        dataset: A known data set, read when no source is given.
        as_of: The moment it is all about; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
    """
    from holdfast.ingestion.batches import list_batches

    settings, stages = configure(), StageTimer()
    if source is not None:
        require_no_replay(settings, source)
    with stages.stage("ingest", "checking transactions") as stage:
        ingested = ingest(source, mapping, dataset)
        stage.outcome = f"{ingested.status}: {ingested.rows_added:,} of {ingested.rows_read:,} rows new"
    settings = load_settings()  # now that there are data, they may say what time it is
    moment = resolve_daily_as_of(as_of, settings, run_time())
    with stages.stage("features", "building snapshots, materializing, comparing every value") as stage:
        built = features(moment)
        parity = built.parity
        stage.outcome = (
            f"{'materialized' if built.materialized else 'in place'}; {parity.values_compared:,} values compared, "
            f"{parity.mismatches} mismatches"
        )
    with stages.stage("train", "joining features to labels") as stage:
        trained = train(moment)
        told = trained.evaluation
        stage.outcome = f"{'registered' if trained.trained else 'found'} version {trained.model_version}: {told.chosen}"
    with stages.stage("promote", "asking for the version's promotion") as stage:
        champion, stage.outcome = _promoted(trained)
    with stages.stage("package", "building the bento") as stage:
        bento = stage.outcome = package()
    with stages.stage("serve", "starting the bento and asking it") as stage:
        prediction = live_prediction_task(settings, bento, moment, built.known_at)
        stage.outcome = f"customer {prediction['customer_id']} churns with {prediction['churn_probability']:.0%}"

    batches = list_batches(settings)
    summary = RunSummary(
        as_of=moment,
        transactions_ingested=sum(batch.rows_added for batch in batches),
        transactions_quarantined=sum(batch.rows_quarantined for batch in batches),
        customers=parity.customers,
        feature_views=built.feature_views,
        training_rows=trained.training_rows,
        test_rows=told.rows,
        model_name=trained.model_name,
        model_version=trained.model_version,
        chosen=told.chosen,
        reason=told.reason,
        calibration=told.calibration,
        threshold=told.value.threshold,
        metrics={metric: found.value for metric, found in told.metrics["model"].items()},
        intervals=told.metrics["model"],
        baselines={
            name: {metric: found.value for metric, found in values.items()}
            for name, values in told.metrics.items()
            if name != "model"
        },
        gates=GateCounts(
            passed=sum(gate.verdict == "passed" for gate in trained.gates.gates),
            failed=[gate.name for gate in trained.gates.failed],
        ),
        champion=champion,
        parity=ParityCounts(values_compared=parity.values_compared, mismatches=parity.mismatches),
        bento=bento,
        prediction=prediction,
        seconds=stages.seconds,
    )
    write_summary(summary, settings.data / "run-summary.json")
    create_markdown_artifact(
        f"```json\n{summary.model_dump_json(indent=2)}\n```", key="run-summary", description="The run in one page"
    )
    return summary


def _promoted(trained: TrainResult) -> tuple[str, str]:
    """The champion after this training, and what came of the promotion.

    A version that fails its gates leaves the champion where it is; without one there is nothing to serve.

    Raises:
        PromotionRefusedError: There is no champion.
    """
    from holdfast.model_versions.aliases import get_champion_version, open_registry

    standing = get_champion_version(open_registry(load_settings()))
    if standing is not None and not trained.gates.passed:
        failed = ", ".join(gate.name for gate in trained.gates.failed)
        return standing, f"version {trained.model_version} failed {failed}; the champion stays version {standing}"
    promoted = promote(trained.model_version)
    return promoted.version, f"champion is version {promoted.version}{'' if promoted.moved else ', as before'}"


def _show(summary: RunSummary) -> None:
    print_summary(summary, load_settings().data / "run-summary.json", Console(highlight=False, soft_wrap=True))


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(lifecycle, show=_show)
