"""Lifecycle: from raw transactions to a prediction of the served model. `python -m flows.lifecycle`."""

import sys
from datetime import datetime

from prefect import flow
from rich.console import Console

from feature_repo.settings import Settings
from flows._cli import run_flow
from flows._lifecycle import (
    configure_churn,
    find_mappings,
    publish_report_task,
    publish_summary_task,
    read_history_task,
    smoke_test_task,
    summarize_ingests,
)
from flows._tasks import run_name, run_time
from flows._train_result import load_result
from flows.features import features
from flows.ingest import ingest
from flows.package import package
from flows.promote import promote
from flows.train import train
from holdfast.ingestion.as_of import resolve_daily_as_of
from holdfast.ingestion.batches import list_batches, select_known
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.label import LabelName
from holdfast.reporting.commands import JobOptions, Serve
from holdfast.reporting.flow_results import TrainResult
from holdfast.reporting.history_report import advise_horizon, find_short_history
from holdfast.reporting.run_report import RunReport, print_report
from holdfast.reporting.run_summary import RefusedVersion, RunSummary, print_summary
from holdfast.reporting.stage_timer import StageTimer
from holdfast.reporting.version_report import report_training
from holdfast.training.recipe import BASE_RATE
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import SingleClassError


@flow(name="lifecycle", flow_run_name=run_name, persist_result=False)
def lifecycle(
    source: list[str] | None = None,
    mapping: list[str] | None = None,
    dataset: str = "cdnow",
    as_of: datetime | None = None,
    training: TrainingSettings | None = None,
    thresholds: GateSettings | None = None,
    label: LabelName | None = None,
    horizon_days: int | None = None,
    activity_days: int | None = None,
    grace_days: int | None = None,
    serve: Serve = "model",
) -> RunSummary | RunReport:
    """Ingest, build features, train, promote, package, serve and request a prediction.

    Too little history and no signal are results: the run ends in order with a report. A champion stays served.

    Args:
        source: File or folder of transactions, attributes or events. Repeat the option for several sources.
        mapping: YAML file that maps the columns, one for each source, in their order, or several that read one source;
            proposed from the values of a single source when left out.
        dataset: Known data set, read where there is no source.
        as_of: Time of features and training; when left out the last midnight (UTC), or HOLDFAST_CLOCK's now.
        training: Cut-offs, search, value, slices and seed.
        thresholds: Thresholds of the gates.
        label: What churn is: no_purchase, or not_renewed for subscriptions; or HOLDFAST_LABEL.
        horizon_days: Days without a purchase, or until a subscription ends, or HOLDFAST_HORIZON_DAYS.
        activity_days: Days with a purchase that make a customer active, or HOLDFAST_ACTIVITY_DAYS.
        grace_days: Days after the end of a subscription until which a renewal counts, or HOLDFAST_GRACE_DAYS.
        serve: base-rate serves one probability for all customers where there is no model to serve.
    """
    from holdfast.model_versions.aliases import find_champion_version  # MLflow, which --help need not wait for

    settings, stages = configure_churn(label, horizon_days, activity_days, grace_days), StageTimer()
    training, thresholds = training or TrainingSettings(), thresholds or GateSettings()
    pairs = find_mappings(settings, stages, source or [], mapping or [], training)
    options = JobOptions.of(pairs, dataset, as_of, training, thresholds, serve)
    with stages.stage("ingest", f"checking {'sources' if len(pairs) > 1 else 'transactions'}") as stage:
        ingested = [ingest(*pair, dataset) for pair in pairs] or [ingest(dataset=dataset)]
        stage.result = summarize_ingests(ingested)
    settings = Settings.from_environment()  # again: the ingested data may determine the clock
    time = resolve_daily_as_of(as_of, settings, run_time())
    history, champion = read_history_task(settings, time), find_champion_version(settings)
    report = find_short_history(history, training, champion, settings, options)
    if report is not None:
        publish_report_task(settings, report)
        return report

    with stages.stage("features", "building snapshots, materializing, comparing every value") as stage:
        built = features(time)
        stage.result = built.state_summary
    trained: list[TrainResult] = []
    single_class = ""
    with stages.stage("train", "joining features to labels") as stage:
        try:
            trained.append(train(time, training=training, thresholds=thresholds))
            stage.result = trained[-1].version_summary
        except SingleClassError as error:
            stage.result = single_class = str(error)
    if serve == "base-rate" and champion is None and trained and not trained[-1].gates.passed:
        with stages.stage("base rate", "registering one probability for all customers") as stage:
            constant = training.model_copy(update={"family": BASE_RATE})
            trained.append(train(time, training=constant, thresholds=thresholds))
            stage.result = trained[-1].version_summary
    if trained and trained[-1].gates.passed:
        with stages.stage("promote", "promoting the version") as stage:
            promoted = promote(trained[-1].model_version)
            champion, stage.result = promoted.version, promoted.champion_summary
    report = report_training(trained, single_class, champion, history, settings, options)
    page = publish_report_task(settings, report) if report else None
    if champion is None:
        assert report is not None
        return report

    with stages.stage("package", "building the bento") as stage:
        bento = stage.result = package()
    with stages.stage("serve", "starting the bento, requesting a prediction") as stage:
        prediction = smoke_test_task(settings, bento, time, built.current.known_at)
        stage.result = f"customer {prediction['customer_id']}: churn probability {prediction['churn_probability']:.0%}"
    served = [result for result in trained if result.model_version == champion] or [load_result(settings, champion)]
    summary = RunSummary.from_results(
        select_known(list_batches(settings)),
        built,
        served[0],
        refused=RefusedVersion.of(report, page) if report and page else None,
        horizon_advice=advise_horizon(history, settings),
        champion=champion,
        bento=bento,
        prediction=prediction,
        seconds=stages.seconds,
    )
    publish_summary_task(settings, summary)
    return summary


def _print_and_exit(result: RunSummary | RunReport) -> None:
    data, console = Settings.from_environment().data, Console(highlight=False, soft_wrap=True)
    if isinstance(result, RunSummary):
        print_summary(result, data, console)
        return
    print_report(result, data, console)
    if not result.is_result:
        sys.exit(1)


if __name__ == "__main__":
    run_flow(lifecycle, show=_print_and_exit)
