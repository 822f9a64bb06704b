"""Gates: verdict on a version from its evidence. `python -m flows.gates --version 3`."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run

from feature_repo.settings import Settings
from flows import configure
from flows._cli import run_flow
from flows._tasks import task
from flows.model_card import refresh_model_cards
from holdfast.alerting.events import emit_event
from holdfast.model_versions.evidence import Evidence
from holdfast.model_versions.gate_settings import GateSettings, describe_changed_thresholds
from holdfast.models.contract import MODEL_NAME
from holdfast.promotion.gates import GATE_COLUMNS, describe_verdict, evaluate_gates, list_warnings
from holdfast.reporting.console import print_gates
from holdfast.reporting.flow_results import GatesResult

if TYPE_CHECKING:
    from holdfast.promotion.evaluation_context import EvaluationContext
    from holdfast.promotion.gate_report import GateReport


@task(name="load evaluation context")
def load_context_task(settings: Settings, version: str) -> "EvaluationContext":
    """Read champion, applied definitions and last parity report while no features are written."""
    from holdfast.feature_store.materialization import features_lock
    from holdfast.promotion.evaluation_context import load_evaluation_context
    from holdfast.training.mlflow_client import open_registry

    with features_lock(settings):
        return load_evaluation_context(open_registry(settings), settings, version)


@task(task_run_name="collect evidence of version {version}")
def collect_evidence_task(
    settings: Settings, version: str, context: "EvaluationContext", thresholds: GateSettings
) -> Evidence:
    """Collect the results of the training and measure the registered model."""
    from holdfast.promotion.evidence_collection import collect_evidence
    from holdfast.training.mlflow_client import open_registry

    return collect_evidence(open_registry(settings), settings, version, context, thresholds)


@task(name="record gates")
def record_gates_task(settings: Settings, report: "GateReport") -> None:
    """Write the gates and the verdict into the version's MLflow run."""
    from holdfast.promotion.gate_report import record_report
    from holdfast.training.mlflow_client import open_registry

    record_report(open_registry(settings), report)


@task(name="publish gates")
def publish_gates_task(report: "GateReport", unrecorded: str) -> None:
    """Publish the gates and the verdict in the UI."""
    verdict = f"{MODEL_NAME} version {report.version}: {describe_verdict(report.failed)}."
    changed = describe_changed_thresholds(report.settings.non_defaults())
    rows = [dict(zip(GATE_COLUMNS, gate.cells, strict=True)) for gate in report.gates]
    texts = [verdict, *report.warnings, changed, unrecorded]
    create_table_artifact(rows, key="gates", description=" ".join(filter(None, texts)))


@task(name="apply verdict")
def apply_verdict_task(settings: Settings, report: "GateReport") -> bool:
    """Record the verdict on the version and set the alias; return whether the version is the challenger now."""
    from holdfast.promotion.gate_report import apply_verdict
    from holdfast.training.mlflow_client import open_registry

    return apply_verdict(open_registry(settings), settings, report)


@task(name="emit challenger event")
def emit_challenger_task(report: "GateReport") -> None:
    """Emit the event of a new challenger. If the run is killed before, the scheduled rollout finds the challenger."""
    payload = {"version": report.version, "champion": report.champion, "gates": report.key}
    emit_event("holdfast.challenger.ready", f"version.{report.version}", payload)


def _run_name() -> str:
    return f"gates of version {flow_run.parameters.get('version') or '(the latest)'}"


@flow(name="gates", flow_run_name=_run_name, persist_result=False)
def gates(version: str | None = None, thresholds: GateSettings | None = None, dry_run: bool = False) -> GatesResult:
    """Evaluate the gates of a version, record the verdict; a version that passes every gate becomes the challenger.

    The champion's passed verdict, on which it was promoted, is never replaced: its gates are evaluated and shown only.
    A version that breached a guardrail in its rollout fails, also after another training on the same data, until this
    flow is run with its version number.

    Args:
        version: The registered version; the latest when left out.
        thresholds: Thresholds of the gates.
        dry_run: Evaluate and show the gates only: record no verdict and set no alias.
    """
    from holdfast.model_versions.aliases import get_challenger_version, get_version
    from holdfast.promotion.gate_report import GateReport, explain_unrecorded, find_report
    from holdfast.training.mlflow_client import open_registry

    settings, thresholds = configure(), thresholds or GateSettings()
    client = open_registry(settings)
    number = str(get_version(client, version).version)
    when = datetime.now(UTC)  # before the evidence is read: later events of the version are not part of the verdict
    context = load_context_task(settings, number)
    if version is not None and context.breach and not flow_run.parent_flow_run_id:
        context = context.ignore_breach()
    unrecorded = explain_unrecorded(client, number, dry_run)
    key = context.key(number, thresholds)
    found = report = find_report(client, number, key)
    if report is None:
        evidence = collect_evidence_task(settings, number, context, thresholds)
        report = GateReport(
            version=number,
            champion=context.champion,
            key=key,
            when=when,
            settings=thresholds,
            gates=evaluate_gates(evidence, thresholds),
            warnings=list_warnings(evidence),
        )
        if not unrecorded:
            record_gates_task(settings, report)
    publish_gates_task(report, unrecorded)
    before = get_challenger_version(client)
    challenger = before == number if unrecorded else apply_verdict_task(settings, report)
    if challenger and before != number:
        emit_challenger_task(report)
    if found is None and not unrecorded:
        refresh_model_cards(settings, number)
    passed, computed = not report.failed, found is None
    return GatesResult(number, report.champion, passed, challenger, computed, report.gates, report.warnings, unrecorded)


def _print_and_exit(result: GatesResult) -> None:
    print_gates(result)
    if not result.passed:
        sys.exit(1)


if __name__ == "__main__":
    run_flow(gates, show=_print_and_exit)
