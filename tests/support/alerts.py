"""Sample alert, its time, and a channel that records messages."""

from datetime import UTC, datetime

from holdfast.alerting.alert import Alert, Message
from holdfast.monitoring.findings import Severity

NOW = datetime(2024, 7, 1, 8, tzinfo=UTC)


class MemoryChannel:
    """Channel that records its messages."""

    def __init__(self, minimum: Severity = "info", name: str = "memory") -> None:
        self.minimum, self.name = minimum, name
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        """Record a message."""
        self.sent.append(message)

    def received(self) -> list[tuple[str, str]]:
        """Return kind and alert key of each message, in order."""
        return [(message.kind, message.alert.key) for message in self.sent]


def alert(key: str = "a", severity: Severity = "warning", text: str = "PSI 0.3") -> Alert:
    """Create a drift alert."""
    return Alert(key=key, severity=severity, title=f"Drift: {key}", text=text)
