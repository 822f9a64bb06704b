"""What an alert says."""

from datetime import datetime
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict

from holdfast.alerting.links import runbook_entry_url
from holdfast.monitoring.findings import Finding, Severity

MessageKind = Literal["opened", "raised", "reminder", "resolved"]
"""Why a message is sent: a new trouble, a worse one, one that lasts, or one that is over."""


class Alert(BaseModel):
    """A trouble that somebody should know of. ``key`` names it: while it is open, the same key is the same alert.

    ``evidence`` and ``runbook`` are links, or paths.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    severity: Severity
    title: str
    text: str
    evidence: str = ""
    runbook: str = ""

    @classmethod
    def from_finding(cls, finding: Finding, evidence: str) -> Self:
        """What monitoring found."""
        return cls.for_subject(finding.event, finding.subject, finding.severity, finding.summary, evidence)

    @classmethod
    def for_subject(cls, event: str, subject: str, severity: Severity, text: str, evidence: str = "") -> Self:
        """An event about a subject, for instance ``holdfast.run.failed`` about a deployment."""
        title = f"{event.removeprefix('holdfast.').replace('.', ' ').replace('_', ' ')}: {subject}"
        return cls(
            key=f"{event}:{subject}",
            severity=severity,
            title=title[:1].upper() + title[1:],
            text=text,
            evidence=evidence,
            runbook=runbook_entry_url(event),
        )


class OpenAlert(Alert):
    """An alert that is not resolved: since when, when last and how often it was raised, and by whom."""

    source: str
    opened: datetime
    last_seen: datetime
    count: int


class Message(BaseModel):
    """What a channel sends. ``id`` is the same in every attempt, so that a receiver can drop a second one."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: MessageKind
    alert: OpenAlert
    why: str = ""
    """Why it is resolved."""

    @property
    def headline(self) -> str:
        """In one line."""
        said = {"opened": "", "raised": " (worse now)", "reminder": f" (still open, seen {self.alert.count} times)"}
        if self.kind == "resolved":
            return f"RESOLVED {self.alert.title}"
        return f"{self.alert.severity.upper()} {self.alert.title}{said[self.kind]}"


def severity_rank(severity: str) -> int:
    """The higher, the worse."""
    return get_args(Severity).index(severity)
