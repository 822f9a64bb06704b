"""Lifecycle: from raw transactions to a prediction of the served model. `python -m flows.lifecycle`."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

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
from flows.train import load_result, train
from holdfast.feature_store.snapshots import find_recent_customer
from holdfast.ingestion.as_of import resolve_daily_as_of, resolve_known_at
from holdfast.ingestion.batches import list_batches
from holdfast.ingestion.datasets import require_no_replay
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.packaging.smoke_test import run_smoke_test
from holdfast.promotion.gate_rules import SIGNAL_GATES
from holdfast.reporting.commands import JobOptions
from holdfast.reporting.flow_results import TrainResult
from holdfast.reporting.run_report import (
    RunReport,
    describe_horizon,
    find_short_history,
    report_no_signal,
    report_refusal,
    report_single_class,
    write_report,
)
from holdfast.reporting.run_summary import RefusedVersion, RunSummary, print_summary, write_summary
from holdfast.reporting.stage_timer import StageTimer
from holdfast.training.history import HorizonFit, ShopHistory, fit_horizon, read_history
from holdfast.training.recipe import BASE_RATE
from holdfast.training.settings import TrainingSettings


@task(name="smoke test")
def smoke_test_task(settings: Settings, bento: str, as_of: datetime, known_at: datetime) -> dict[str, Any]:
    """Serve the bento in another process and request one prediction over HTTP."""
    customer = find_recent_customer(settings, as_of, known_at)
    return run_smoke_test(bento, settings, customer, as_of)


@task(name="read history")
def read_history_task(settings: Settings, as_of: datetime) -> ShopHistory:
    """Read the length of the history and the gaps between purchases from the batches."""
    return read_history(settings, as_of, resolve_known_at(None))


@task(name="report")
def report_task(settings: Settings, report: RunReport, replaces_summary: bool) -> Path:
    """Write the report of a version that is not served, or of data without a model, and publish it in the UI."""
    create_markdown_artifact(report.text, key="run-report", description=f"Main job: {report.outcome}")
    return write_report(report, settings.data, replaces_summary)


@flow(name="lifecycle", flow_run_name=run_name, persist_result=False)
def lifecycle(
    source: str | None = None,
    mapping: str | None = None,
    dataset: str = "cdnow",
    as_of: datetime | None = None,
    training: TrainingSettings | None = None,
    thresholds: GateSettings | None = None,
    horizon_days: int | None = None,
    activity_days: int | None = None,
    serve: Literal["model", "base-rate"] = "model",
) -> RunSummary | RunReport:
    """Ingest, build features, train, promote, package, serve and request a prediction.

    Too little history and no signal are results: the run ends in order with a report, and serves nothing.

    Args:
        source: File or folder of transactions; needs a mapping.
        mapping: YAML file that maps the columns.
        dataset: Known data set, read where there is no source.
        as_of: Time of features and training; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
        training: Cut-offs, search, value, slices and seed.
        thresholds: Thresholds of the gates.
        horizon_days: Days without a purchase after which a customer has churned, or HOLDFAST_HORIZON_DAYS.
        activity_days: Days with a purchase that make a customer active, or HOLDFAST_ACTIVITY_DAYS.
        serve: base-rate serves one probability for all customers where there is no model to serve.
    """
    settings, stages = _configure(horizon_days, activity_days), StageTimer()
    training, thresholds = training or TrainingSettings(), thresholds or GateSettings()
    if source is not None:
        require_no_replay(settings, source)
    with stages.stage("ingest", "checking transactions") as stage:
        ingested = ingest(source, mapping, dataset)
        stage.result = f"{ingested.status}: {ingested.rows_added:,} of {ingested.rows_read:,} rows new"
    settings = Settings.from_environment()  # again: the ingested data may determine the clock
    time = resolve_daily_as_of(as_of, settings, run_time())
    options = JobOptions.of(
        source,
        mapping,
        dataset,
        as_of,
        training.model_dump(mode="json", exclude_defaults=True),
        thresholds.non_defaults(),
    )
    history = read_history_task(settings, time)
    fit = fit_horizon(history.gaps, settings.horizon_days)
    report = find_short_history(history, fit, training.min_history_days, settings, options)
    if report is not None:
        report_task(settings, report, replaces_summary=True)
        return report
    with stages.stage("features", "building snapshots, materializing, comparing every value") as stage:
        built = features(time)
        stage.result = built.state_summary
    with stages.stage("train", "joining features to labels") as stage:
        trained, report = _train(settings, time, training, thresholds, history, fit, options)
        stage.result = _describe(trained)
    champion = _champion(settings)
    if report is not None and trained is not None and champion is None and serve == "base-rate":
        with stages.stage("base rate", "registering one probability for all customers") as stage:
            trained = train(time, training=training.model_copy(update={"family": BASE_RATE}), thresholds=thresholds)
            stage.result = _describe(trained)
        report = None if trained.gates.passed else report_refusal(trained, champion, settings, options)
    page = None
    if report is not None:
        page = report_task(settings, report, replaces_summary=champion is None)
        if champion is None:
            return report
    with stages.stage("promote", "promoting the version") as stage:
        champion, stage.result = _promote(trained, champion)
    with stages.stage("package", "building the bento") as stage:
        bento = stage.result = package()
    with stages.stage("serve", "starting the bento, requesting a prediction") as stage:
        prediction = smoke_test_task(settings, bento, time, built.known_at)
        stage.result = f"customer {prediction['customer_id']} churns with {prediction['churn_probability']:.0%}"

    served = trained if trained is not None and trained.model_version == champion else load_result(settings, champion)
    summary = RunSummary.from_results(
        list_batches(settings),
        built,
        served,
        refused=RefusedVersion.of(report, page),
        horizon_advice=describe_horizon(fit) if fit.is_bad else "",
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


def _configure(horizon_days: int | None, activity_days: int | None) -> Settings:
    """Set the definition of churn for the flows of this run and for the service that it starts."""
    for name, value in (("horizon_days", horizon_days), ("activity_days", activity_days)):
        if value is not None:
            os.environ[Settings.variable(name)] = str(value)
    return configure()


def _train(
    settings: Settings,
    time: datetime,
    training: TrainingSettings,
    thresholds: GateSettings,
    history: ShopHistory,
    fit: HorizonFit,
    options: JobOptions,
) -> tuple[TrainResult | None, RunReport | None]:
    """Train; return the version, and a report if it must not be served. Without two outcomes there is no version."""
    # scikit-learn, which --help need not wait for
    from holdfast.training.model_selection import SingleClassError

    try:
        trained = train(time, training=training, thresholds=thresholds)
    except SingleClassError as error:
        return None, report_single_class(str(error), history, fit, settings, options)
    champion = _champion(settings)
    if trained.gates.passed:
        return trained, None
    if champion is None and set(trained.gates.failed) & set(SIGNAL_GATES):
        return trained, report_no_signal(trained, fit, settings, options)
    return trained, report_refusal(trained, champion, settings, options)


def _describe(trained: TrainResult | None) -> str:
    if trained is None:
        return "all customers have the same outcome"
    action = "registered" if trained.trained else "found"
    return f"{action} version {trained.model_version}: {trained.evaluation.chosen}"


def _champion(settings: Settings) -> str | None:
    from holdfast.model_versions.aliases import get_champion_version
    from holdfast.training.mlflow_client import UnknownVersionError, open_registry

    try:
        return get_champion_version(open_registry(settings))
    except UnknownVersionError:  # nothing was trained
        return None


def _promote(trained: TrainResult | None, champion: str | None) -> tuple[str, str]:
    """Promote the version if it passed its gates; return the champion and a description."""
    if champion is not None and trained is None:
        return champion, f"version {champion} stays champion"
    assert trained is not None
    if champion is not None and not trained.gates.passed:
        failed = ", ".join(trained.gates.failed)
        return champion, f"version {trained.model_version} failed {failed}; version {champion} stays champion"
    promoted = promote(trained.model_version)
    return promoted.version, f"champion is version {promoted.version}{'' if promoted.moved else ', as before'}"


def _print_and_exit(result: RunSummary | RunReport) -> None:
    data, console = Settings.from_environment().data, Console(highlight=False, soft_wrap=True)
    if isinstance(result, RunSummary):
        print_summary(result, data / "run-summary.json", console)
        return
    console.print(f"\n{result.text}\n\nThis report: {data / 'run-report.md'}", markup=False)
    if not result.is_result:
        sys.exit(1)


if __name__ == "__main__":
    run_flow(lifecycle, show=_print_and_exit)
