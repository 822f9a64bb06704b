"""Approval of a promotion by a person, stored as records on the version. The flow has the form."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.core.errors import ApprovalRefusedError, PromotionRefusedError
from holdfast.core.plain_text import escape_markdown, escape_prose
from holdfast.model_versions.aliases import list_versions
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.model_versions.records import ApprovalRecord, GatesRecord
from holdfast.promotion.approval_signature import approval_statement, signing_command
from holdfast.promotion.champion_update import PromotionDecision
from holdfast.promotion.four_eyes import ApprovalSettings, find_four_eyes_problem, identify_approver
from holdfast.promotion.gate_report import GateReport, read_report
from holdfast.promotion.gates import GATE_COLUMNS
from holdfast.training.mlflow_client import ModelClient


@dataclass(frozen=True)
class ApprovalAnswer:
    """Answer of a person in the form."""

    approve: bool
    who: str
    why: str
    signature: str = ""


def find_requested_version(client: ModelClient, flow_run: str) -> str | None:
    """Find the version for which a suspended flow run requested approval.

    Args:
        client: MLflow's client.
        flow_run: Id of the flow run.

    Returns:
        The version number, or None.
    """
    for item in list_versions(client):
        record = ApprovalRecord.from_tags(item.tags, str(item.version))
        if record is not None and record.flow_run == flow_run:
            return str(item.version)
    return None


def request_approval(
    client: ModelClient, version: str, gates: GatesRecord, flow_run: str, now: datetime, timeout: timedelta
) -> None:
    """Record a request for approval; a later request replaces an earlier one.

    Args:
        client: MLflow's client.
        version: Version number.
        gates: The passed verdict.
        flow_run: Id of the flow run that waits.
        now: Time of the request, UTC.
        timeout: Time to answer.

    Raises:
        PromotionRefusedError: The evidence cannot be shown.
        BadReportError: It is there, but cannot be read back.
    """
    if read_report(client, version, gates.key) is None:
        raise PromotionRefusedError(
            f"The gates of {client.model_name} version {version} cannot be read from its run. Run "
            f"`python -m flows.gates --version {version}` again."
        )
    ApprovalRecord(status="waiting", since=now, until=now + timeout, flow_run=flow_run, gates=gates.key).save(
        client, version
    )


def render_request(client: ModelClient, version: str, reason: str) -> str:
    """Render the text above the form.

    Args:
        client: MLflow's client.
        version: Version number.
        reason: Reason of the request.

    Returns:
        Markdown.
    """
    record = ApprovalRecord.load(client, version)
    report = read_report(client, version, record.gates) if record else None
    if record is None or report is None:
        return f"{client.model_name} version {version}: its gates cannot be read."
    return request_text(report, reason, record, ApprovalSettings.from_environment().approvers_file is not None)


def record_answer(client: ModelClient, version: str, answer: ApprovalAnswer | None, now: datetime) -> PromotionDecision:
    """Record the answer; a run that resumes without an answer is a refusal.

    Args:
        client: MLflow's client.
        version: Version number.
        answer: The answer; None without one.
        now: Time of the answer, UTC.

    Returns:
        The decision of an approval.

    Raises:
        ApprovalRefusedError: It was no, or came too late.
    """
    record = ApprovalRecord.load(client, version)
    assert record is not None  # find_requested_version has found it
    pending = record.evaluate_at(now)
    if pending.status == "waiting":
        pending = pending.model_copy(update={**_evaluate_answer(client, version, pending, answer), "when": now})
    pending.save(client, version)
    if pending.status != "approved":
        raise ApprovalRefusedError(describe_rejection(client.model_name, version, pending))
    return PromotionDecision("manual", pending.who, pending.why, pending.gates, pending.proof)


def _evaluate_answer(
    client: ModelClient, version: str, record: ApprovalRecord, answer: ApprovalAnswer | None
) -> dict[str, str]:
    """Return the fields of the answered request. An approval that does not count is a refusal, with the reason."""
    if answer is None:
        return {
            "status": "refused",
            "who": "no person",
            "proof": "program",
            "why": "the run was resumed without an answer",
        }
    settings = ApprovalSettings.from_environment()
    approver = identify_approver(client.model_name, version, record, answer.signature)
    fields = {"who": answer.who, "proof": "claimed", "why": answer.why}
    if approver is not None:
        fields = {"who": approver.names[0], "proof": "signature", "why": answer.why, "signature": answer.signature}
    if not answer.approve:
        return {"status": "refused", **fields}
    problem = ""
    if approver is None and settings.approvers_file is not None:
        problem = "no person of HOLDFAST_APPROVERS_FILE has signed the approval"
    elif approver is not None and settings.four_eyes:
        problem = find_four_eyes_problem(client, version, approver) or ""
    return {"status": "refused", **fields, "why": problem} if problem else {"status": "approved", **fields}


def find_pending_approval(client: ModelClient, version: str, now: datetime) -> ApprovalRecord | None:
    """Find a request that is waiting, refused or timed out; no automatic decision overrides it.

    Args:
        client: MLflow's client.
        version: Version number.
        now: Time of the check, UTC.

    Returns:
        The record; None without a request, or if approved.
    """
    record = ApprovalRecord.load(client, version)
    pending = record.evaluate_at(now) if record else None
    return None if pending is None or pending.status == "approved" else pending


def describe_rejection(model_name: str, version: str, record: ApprovalRecord) -> str:
    """Describe why a version is not approved.

    Args:
        model_name: Name of the registered model.
        version: Version number.
        record: The request with its status.

    Returns:
        A sentence.
    """
    about = f"{model_name} version {version}"
    if record.status == "waiting":
        return f"{about} waits for a person's approval until {record.until:%Y-%m-%d %H:%M} UTC."
    if record.status == "timed out":
        return f"No person approved {about} by {record.until:%Y-%m-%d %H:%M} UTC; that is a refusal."
    return f"{about} was refused, {record.by}: {record.why}."


def request_text(report: GateReport, reason: str, record: ApprovalRecord, is_signed: bool = False) -> str:
    """Render a request for approval with the evidence.

    Args:
        report: Report of the gates.
        reason: Reason of the request; may be empty.
        record: The request.
        is_signed: An approval needs a signature.

    Returns:
        Markdown.
    """
    champion = f"version {report.champion}" if report.champion else "none yet"
    rows = [GATE_COLUMNS, *(gate.cells for gate in report.gates)]
    table = [f"| {' | '.join(escape_markdown(cell) for cell in row)} |" for row in rows]
    lines = [
        f"**{report.model_name} version {report.version}** asks to become the champion. The champion now: {champion}.",
        *([f"Reason of the request: {escape_markdown(reason)}"] if reason else []),
        f"No answer by {record.until:%Y-%m-%d %H:%M} UTC is a refusal.",
        "\n".join([table[0], f"|{'---|' * len(GATE_COLUMNS)}", *table[1:]]),
        *([escape_prose(changed)] if (changed := describe_changed_thresholds(report.settings.non_defaults())) else []),
        f"Model card, curves and slices: MLflow, model {report.model_name}, version {report.version}, its source run.",
        *([_describe_signature(report, record)] if is_signed else []),
    ]
    return "\n\n".join(lines)


def _describe_signature(report: GateReport, record: ApprovalRecord) -> str:
    command = signing_command(approval_statement(report.model_name, report.version, record))
    return f"An approval needs your signature. Run this on your own machine, and copy its output:\n\n    {command}"
