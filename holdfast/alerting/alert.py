"""Alert and the message about an alert."""

from datetime import datetime
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field

from holdfast.core.formatting import format_count
from holdfast.core.redaction import redact_logins
from holdfast.monitoring.findings import Finding, Severity
from holdfast.runtime.endpoints import runbook_entry_url

MessageKind = Literal["opened", "raised", "reminder", "resolved"]
"""Reason of a message: a new alert, a higher severity, an alert that is still open, a resolved alert."""


class Alert(BaseModel):
    """Problem that people are notified of.

    Attributes:
        key: Identity: while an alert is open, the same key is the same alert.
        severity: info, warning or critical.
        title: One line.
        text: One or two sentences.
        evidence_url: Link or path to the measurements; empty where there is none. Stored and sent as ``evidence``.
        runbook: Link or path to the entry of the runbook.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    key: str
    severity: Severity
    title: str
    text: str
    evidence_url: str = Field(default="", alias="evidence")
    runbook: str = ""

    @classmethod
    def from_finding(cls, finding: Finding, evidence_url: str) -> Self:
        """Create the alert of a monitoring result.

        Args:
            finding: Gives event, subject, severity and text.
            evidence_url: Link to the measurements.

        Returns:
            The alert.
        """
        return cls.for_subject(finding.event, finding.subject, finding.severity, finding.summary, evidence_url)

    @classmethod
    def for_subject(cls, event: str, subject: str, severity: Severity, text: str, evidence_url: str = "") -> Self:
        """Create the alert of an event, for instance of ``holdfast.run.failed`` for a deployment.

        Args:
            event: Name of the event, ``holdfast.*``; with the subject it makes the key.
            subject: Deployment, feature or version that has the problem.
            severity: info, warning or critical.
            text: One or two sentences.
            evidence_url: Link or path; empty where there is none.

        Returns:
            The alert, with the link to its entry of the runbook.
        """
        title = f"{event.removeprefix('holdfast.').replace('.', ' ').replace('_', ' ')}: {subject}"
        return cls(
            key=f"{event}:{subject}",
            severity=severity,
            title=title[:1].upper() + title[1:],
            text=redact_logins(text),
            evidence_url=redact_logins(evidence_url),
            runbook=runbook_entry_url(event),
        )


class OpenAlert(Alert):
    """Alert that is not resolved, with its source, its times (UTC) and how often it was raised."""

    source: str
    opened: datetime
    last_seen: datetime
    count: int


class Message(BaseModel):
    """Notification that a channel sends.

    Attributes:
        id: The same in every attempt, so that a receiver can drop a duplicate.
        kind: Reason of the message.
        alert: State of the alert when the message was written.
        why: Reason of the resolution; empty for other kinds.
    """

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)

    id: str
    kind: MessageKind
    alert: OpenAlert
    why: str = ""

    @property
    def headline(self) -> str:
        """Return the message in one line."""
        if self.kind == "resolved":
            return f"RESOLVED {self.alert.title}"
        suffix = {
            "opened": "",
            "raised": " (now worse)",
            "reminder": f" (still open, found {format_count(self.alert.count, 'time')})",
        }
        return f"{self.alert.severity.upper()} {self.alert.title}{suffix[self.kind]}"


def severity_rank(severity: str) -> int:
    """Rank a severity.

    Args:
        severity: info, warning or critical.

    Returns:
        0 for info; higher is worse.
    """
    return get_args(Severity).index(severity)
