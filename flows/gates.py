"""Gates: judge a version on all its evidence; who passes is the challenger. `python -m flows.gates --version 3`"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import flow
from prefect.artifacts import create_table_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._tasks import task
from flows.model_card import refresh_model_cards
from holdfast.feature_store.materialization import features_lock
from holdfast.model_versions.gate_settings import GateSettings, describe_changed_thresholds
from holdfast.models.contract import MODEL_NAME

if TYPE_CHECKING:
    from holdfast.model_versions.evidence import Evidence
    from holdfast.promotion.evaluation_context import EvaluationContext
    from holdfast.promotion.gate_report import GateReport
    from holdfast.promotion.gates import GateResult


@dataclass(frozen=True)
class GatesResult:
    """The verdict over a version."""

    version: str
    champion: str | None
    """Whom it was compared with."""
    passed: bool
    challenger: bool
    """Whether it waits for promotion now."""
    computed: bool
    """False when the same evidence had passed before."""
    gates: "list[GateResult]"

    @property
    def failed(self) -> "list[GateResult]":
        """The gates that stop it."""
        return [gate for gate in self.gates if gate.verdict == "failed"]


@task(name="situation")
def situation_task(settings: Settings, version: str) -> "EvaluationContext":
    """The champion, the definitions in the registry and the last parity report, at rest."""
    from holdfast.model_versions.aliases import open_registry
    from holdfast.promotion.evaluation_context import load_evaluation_context

    with features_lock(settings):
        return load_evaluation_context(open_registry(settings), settings, version)


@task(task_run_name="evidence about version {version}")
def evidence_task(
    settings: Settings, version: str, situation: "EvaluationContext", thresholds: GateSettings
) -> "Evidence":
    """What training left of the version, and how the registered model behaves."""
    from holdfast.model_versions.aliases import open_registry
    from holdfast.promotion.evidence_collection import collect_evidence

    return collect_evidence(open_registry(settings), settings, version, situation, thresholds)


@task(name="record")
def record_task(settings: Settings, report: "GateReport") -> None:
    """Put gates and verdict into the version's MLflow run."""
    from holdfast.model_versions.aliases import open_registry
    from holdfast.promotion.gate_report import record_report

    record_report(open_registry(settings), report)


@task(name="verdict")
def verdict_task(settings: Settings, report: "GateReport") -> bool:
    """Put the verdict on the version, show it, and move the alias; whether the version is the challenger now."""
    from holdfast.model_versions.aliases import open_registry
    from holdfast.promotion.gate_report import apply_verdict

    create_table_artifact(
        [
            {
                "gate": gate.name,
                "value": gate.value_text,
                "wanted": gate.threshold_text,
                "verdict": gate.verdict.upper() if gate.verdict == "failed" else gate.verdict,
                "detail": gate.detail,
            }
            for gate in report.gates
        ],
        key="gates",
        description=" ".join(
            filter(
                None,
                [
                    f"{MODEL_NAME} version {report.version}: {_verdict(report.failed)}.",
                    describe_changed_thresholds(report.settings.changed()),
                ],
            )
        ),
    )
    return apply_verdict(open_registry(settings), settings, report)


@task(name="ready")
def ready_task(report: "GateReport") -> None:
    """Tell automations that there is a new challenger. Killed before this, the regular run of rollout finds it."""
    from holdfast.alerting.events import emit_event

    about = {"version": report.version, "champion": report.champion, "gates": report.key}
    emit_event("holdfast.challenger.ready", f"version.{report.version}", about)


def _run_name() -> str:
    from prefect.runtime import flow_run

    return f"gates of version {flow_run.parameters.get('version') or '(the latest)'}"


@flow(name="gates", flow_run_name=_run_name, persist_result=False)
def gates(version: str | None = None, thresholds: GateSettings | None = None) -> GatesResult:
    """Judge a version; if it passes every gate it becomes the challenger, else it is none.

    One that its rollout found worse than the champion passes no more, whoever trains on the same data again, until
    somebody names it in a run of this flow.

    Args:
        version: The registered version; the latest when left out.
        thresholds: What the gates ask of it.
    """
    from prefect.runtime import flow_run

    from holdfast.model_versions.aliases import get_challenger_version, get_version, open_registry
    from holdfast.promotion.gate_report import GateReport, find_report
    from holdfast.promotion.gates import evaluate_gates

    settings, thresholds = configure(), thresholds or GateSettings()
    client = open_registry(settings)
    number = str(get_version(client, version).version)
    when = datetime.now(UTC)  # before it looks: what happens to the version meanwhile is not judged here
    situation = situation_task(settings, number)
    if version is not None and situation.breach and not flow_run.parent_flow_run_id:
        situation = situation.without_breach()
    key = situation.key(number, thresholds)
    found = report = find_report(client, number, key)
    if report is None:
        judged = evaluate_gates(evidence_task(settings, number, situation, thresholds), thresholds)
        report = GateReport(
            version=number,
            champion=situation.champion,
            key=key,
            when=when,
            settings=thresholds,
            gates=judged,
        )
        record_task(settings, report)
    before = get_challenger_version(client)
    challenger = verdict_task(settings, report)
    if challenger and before != number:
        ready_task(report)
    if found is None:
        refresh_model_cards(settings, number)
    return GatesResult(number, report.champion, not report.failed, challenger, found is None, report.gates)


def _verdict(failed: list[str]) -> str:
    return f"failed {', '.join(failed)}" if failed else "passed every gate"


def _show(result: GatesResult) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("gate", "value", "wanted", "verdict", "detail", box=None)
    for gate in result.gates:
        style = {"passed": "green", "failed": "bold red"}.get(gate.verdict, "dim")
        table.add_row(gate.name, gate.value_text, gate.threshold_text, f"[{style}]{gate.verdict}[/]", gate.detail)
    console.print(table)
    console.print(
        f"\nVersion {result.version} {_verdict([gate.name for gate in result.failed])}."
        + (f" It is the challenger: `python -m flows.promote --version {result.version}`" if result.challenger else "")
    )
    if not result.passed:
        sys.exit(1)


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(gates, show=_show)
