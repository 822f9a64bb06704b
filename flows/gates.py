"""Gates: verdict on a version from its evidence. `python -m flows.gates --version 3`."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_table
from flows._cli import run_flow
from flows._gates import evaluate_gates_task, load_context_task
from flows._tasks import open_model_registry, task
from flows.model_card import refresh_model_cards
from holdfast.alerting.events import emit_event
from holdfast.model_versions.gate_settings import GateSettings, declared_thresholds, describe_changed_thresholds
from holdfast.models.declaration import CHURN, declared_name, load_declaration
from holdfast.promotion.gates import GATE_COLUMNS, describe_verdict
from holdfast.reporting.console import print_gates
from holdfast.reporting.flow_results import GatesResult

if TYPE_CHECKING:
    from holdfast.promotion.gate_report import GateReport


@task(name="record gates")
def record_gates_task(settings: Settings, model: str, report: "GateReport") -> None:
    """Write the gates and the verdict into the version's MLflow run."""
    from holdfast.promotion.gate_report import record_report

    record_report(open_model_registry(settings, model), report)


@task(name="publish gates")
def publish_gates_task(report: "GateReport", unrecorded: str) -> None:
    """Publish the gates and the verdict in the UI."""
    verdict = f"{report.model_name} version {report.version}: {describe_verdict(report.failed)}."
    changed = describe_changed_thresholds(report.settings.non_defaults())
    rows = [dict(zip(GATE_COLUMNS, gate.cells, strict=True)) for gate in report.gates]
    texts = [verdict, *report.warnings, changed, unrecorded]
    publish_table(rows, key="gates", description=" ".join(filter(None, texts)))


@task(name="apply verdict")
def apply_verdict_task(settings: Settings, model: str, report: "GateReport") -> bool:
    """Record the verdict on the version and set the alias; return whether the version is the challenger now."""
    from holdfast.promotion.gate_report import apply_verdict

    return apply_verdict(open_model_registry(settings, model), settings, report)


@task(name="emit challenger event")
def emit_challenger_task(report: "GateReport") -> None:
    """Emit the event of a new challenger. If the run is killed before, the scheduled rollout finds the challenger."""
    model = declared_name(report.model_name)
    payload = {"model": model, "version": report.version, "champion": report.champion, "gates": report.key}
    emit_event("holdfast.challenger.ready", f"version.{report.version}", payload)


def _run_name() -> str:
    return f"gates of version {flow_run.parameters.get('version') or '(the latest)'}"


@flow(name="gates", flow_run_name=_run_name, persist_result=False)
def gates(
    version: str | None = None,
    thresholds: GateSettings | None = None,
    dry_run: bool = False,
    model: str = CHURN,
) -> GatesResult:
    """Evaluate the gates of a version, record the verdict; a version that passes every gate becomes the challenger.

    The champion's passed verdict, on which it was promoted, is never replaced: its gates are evaluated and shown only.
    A version that breached a guardrail in its rollout fails, also after another training on the same data, until this
    flow is run with its version number.

    Args:
        version: The registered version; the latest when left out.
        thresholds: Thresholds of the gates.
        dry_run: Evaluate and show the gates only: record no verdict and set no alias.
        model: The model, as declared in feature_repo/models.
    """
    from holdfast.model_versions.aliases import get_challenger_version, get_version
    from holdfast.promotion.gate_report import GateReport, explain_unrecorded, find_report

    settings, limits = configure(), declared_thresholds(load_declaration(model), thresholds)
    client = open_model_registry(settings, model)
    number = str(get_version(client, version).version)
    when = datetime.now(UTC)  # before the evidence is read: later events of the version are not part of the verdict
    context = load_context_task(settings, model, number)
    if version is not None and context.breach and not flow_run.parent_flow_run_id:
        context = context.ignore_breach()
    unrecorded = explain_unrecorded(client, number, dry_run)
    key = context.key(number, limits)
    found = report = find_report(client, number, key)
    if report is None:
        results, warnings = evaluate_gates_task(settings, model, number, context, limits)
        report = GateReport(
            model_name=client.model_name,
            version=number,
            champion=context.champion,
            key=key,
            when=when,
            settings=limits,
            gates=results,
            warnings=warnings,
        )
        if not unrecorded:
            record_gates_task(settings, model, report)
    publish_gates_task(report, unrecorded)
    before = get_challenger_version(client)
    challenger = before == number if unrecorded else apply_verdict_task(settings, model, report)
    if challenger and before != number:
        emit_challenger_task(report)
    if found is None and not unrecorded:
        refresh_model_cards(settings, number, model=model)
    passed, computed = not report.failed, found is None
    return GatesResult(
        number,
        report.champion,
        passed,
        challenger,
        computed,
        report.gates,
        report.warnings,
        unrecorded,
        client.model_name,
    )


def _print_and_exit(result: GatesResult) -> None:
    print_gates(result)
    if not result.passed:
        sys.exit(1)


if __name__ == "__main__":
    run_flow(gates, show=_print_and_exit)
