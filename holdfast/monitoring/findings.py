"""Problems that monitoring views detect, and the names of their events."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

View = Literal["data", "drift", "skew", "outcome", "spend"]
Severity = Literal["info", "warning", "critical"]
EventName = Literal[
    "holdfast.data.late",
    "holdfast.data.broken",
    "holdfast.drift.detected",
    "holdfast.skew.detected",
    "holdfast.quality.dropped",
    "holdfast.freshness.breached",
    "holdfast.training.slow",
]


class Finding(BaseModel):
    """Problem that a monitoring view detected, as sent in an event and in an alert.

    Attributes:
        event: Name of the event.
        severity: Severity of the alert.
        subject: Feature, column, component or version that the finding concerns.
        summary: One sentence with the figures.
        payload: JSON values only, because they are sent in the event.
    """

    model_config = ConfigDict(frozen=True)

    event: EventName
    severity: Severity
    subject: str
    summary: str
    payload: dict[str, Any] = Field(default_factory=dict, description="JSON values, sent in the event.")

    @property
    def key(self) -> str:
        """Return ``EVENT:SUBJECT``: findings with the same key belong to one alert."""
        return f"{self.event}:{self.subject}"
