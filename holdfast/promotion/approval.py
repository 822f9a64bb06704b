"""A person's approval, as records on the version: asked, answered, or not in time. The form is the flow's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlflow import MlflowClient

from holdfast.core.errors import ApprovalRefusedError, PromotionRefusedError
from holdfast.model_versions.aliases import list_versions
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.model_versions.records import ApprovalRecord, GatesRecord
from holdfast.models.contract import MODEL_NAME
from holdfast.promotion.champion_update import PromotionDecision
from holdfast.promotion.gate_report import GateReport, read_report
from holdfast.promotion.gates import GateResult


@dataclass(frozen=True)
class ApprovalAnswer:
    """What a person entered in the form."""

    approve: bool
    who: str
    why: str


def find_requested_version(client: MlflowClient, flow_run: str) -> str | None:
    """The version that this flow run asked approval for before it was suspended."""
    for item in list_versions(client):
        record = ApprovalRecord.from_tags(item.tags, str(item.version))
        if record is not None and record.flow_run == flow_run:
            return str(item.version)
    return None


def request_approval(
    client: MlflowClient, version: str, gates: GatesRecord, flow_run: str, now: datetime, timeout: timedelta
) -> None:
    """Record that a person is asked. The latest request counts, an earlier one is void.

    Raises:
        PromotionRefusedError: The evidence cannot be shown.
        BadReportError: It is there, but cannot be read back.
    """
    if read_report(client, version, gates.key) is None:
        raise PromotionRefusedError(
            f"The gates of {MODEL_NAME} version {version} cannot be read from its run. Run "
            f"`python -m flows.gates --version {version}` again."
        )
    ApprovalRecord(status="waiting", since=now, until=now + timeout, flow_run=flow_run, gates=gates.key).save(
        client, version
    )


def render_request(client: MlflowClient, version: str, reason: str) -> str:
    """What stands above the form, as Markdown."""
    record = ApprovalRecord.load(client, version)
    report = read_report(client, version, record.gates) if record else None
    if record is None or report is None:
        return f"{MODEL_NAME} version {version}: its gates cannot be read."
    return request_text(report, reason, record.until)


def record_answer(
    client: MlflowClient, version: str, answer: ApprovalAnswer | None, now: datetime
) -> PromotionDecision:
    """Record the answer; the decision if it was yes. A run that goes on without an answer was not approved.

    Raises:
        ApprovalRefusedError: It was no, or came too late.
    """
    record = ApprovalRecord.load(client, version)
    assert record is not None  # requested_by has found it
    standing = record.evaluate_at(now)
    if standing.status == "waiting":
        answer = answer or ApprovalAnswer(False, "nobody", "the run was resumed without an answer")
        status = "approved" if answer.approve else "refused"
        standing = standing.model_copy(update={"status": status, "who": answer.who, "when": now, "why": answer.why})
    standing.save(client, version)
    if standing.status != "approved":
        raise ApprovalRefusedError(describe_rejection(version, standing))
    return PromotionDecision("manual", standing.who, standing.why, standing.gates)


def find_approval(client: MlflowClient, version: str, gates: GatesRecord) -> PromotionDecision | None:
    """An approval on the same evidence that has not moved the alias yet: it needs no second one."""
    record = ApprovalRecord.load(client, version)
    if record is None or record.status != "approved" or record.gates != gates.key:
        return None
    return PromotionDecision("manual", record.who, record.why, record.gates)


def pending_approval(client: MlflowClient, version: str, now: datetime) -> ApprovalRecord | None:
    """What a person was asked about ``version`` and did not approve. No machine undoes that, on whatever evidence."""
    record = ApprovalRecord.load(client, version)
    standing = record.evaluate_at(now) if record else None
    return None if standing is None or standing.status == "approved" else standing


def require_no_pending_approval(client: MlflowClient, version: str, now: datetime) -> None:
    """What a person was asked, no machine decides.

    Raises:
        PromotionRefusedError: A person is being asked, refused, or did not answer in time.
    """
    if standing := pending_approval(client, version, now):
        raise PromotionRefusedError(
            f"{describe_rejection(version, standing)} To ask again: `prefect deployment run promote/promote -p "
            f"version='\"{version}\"' -p approval=manual`."
        )


def describe_rejection(version: str, record: ApprovalRecord) -> str:
    """Why a version was not approved, as of now."""
    about = f"{MODEL_NAME} version {version}"
    if record.status == "waiting":
        return f"{about} waits for a person's approval until {record.until:%Y-%m-%d %H:%M} UTC."
    if record.status == "timed out":
        return f"Nobody approved {about} by {record.until:%Y-%m-%d %H:%M} UTC; that is a refusal."
    return f"{about} was refused by {record.who}: {record.why}."


def request_text(report: GateReport, reason: str, until: datetime) -> str:
    """Who asks to follow whom, and the evidence, as Markdown."""
    champion = f"version {report.champion}" if report.champion else "none yet"
    lines = [
        f"**{MODEL_NAME} version {report.version}** asks to become the champion. The champion now: {champion}.",
        *([f"Why it is asked: {reason}"] if reason else []),
        f"No answer by {until:%Y-%m-%d %H:%M} UTC is a refusal.",
        gates_table(report.gates),
        *([told] if (told := describe_changed_thresholds(report.settings.non_defaults())) else []),
        f"Model card, curves and slices: MLflow, model {MODEL_NAME}, version {report.version}, its source run.",
    ]
    return "\n\n".join(lines)


def gates_table(gates: Sequence[GateResult]) -> str:
    """The gates as a Markdown table."""
    rows = ["| gate | value | wanted | verdict | |", "|---|---|---|---|---|"]
    rows += [f"| {g.name} | {g.value_text} | {g.threshold_text} | {g.verdict} | {g.detail} |" for g in gates]
    return "\n".join(rows)
