"""What monitoring finds wrong: the name of its event, how bad it is, and what shows it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

View = Literal["data", "drift", "skew", "outcome"]
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
    """One thing that is wrong, as an event carries it and an alert tells it.

    ``subject`` says what it is about (a feature, a column, a view, a version): the same event about the same subject
    is the same trouble going on. ``summary`` is one sentence with the figures in it.
    """

    model_config = ConfigDict(frozen=True)

    event: EventName
    severity: Severity
    subject: str
    summary: str
    payload: dict[str, Any] = Field(default_factory=dict, description="JSON values only: it travels in the event.")

    @property
    def key(self) -> str:
        """Names the trouble: two findings of one key are one alert."""
        return f"{self.event}:{self.subject}"
