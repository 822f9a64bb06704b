"""The ways an alert reaches people: the log, a webhook, Slack."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from holdfast.alerting.alert import Message
from holdfast.alerting.settings import AlertSettings
from holdfast.monitoring.findings import Severity

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_TRY_AGAIN = (408, 425, 429)  # these of the 4xx say that the receiver is busy, not that it will never take it


class DeliveryError(Exception):
    """A receiver did not take it. ``refused``: it answered that it will not take this one."""

    def __init__(self, why: str, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


class Channel(Protocol):
    """One way. ``minimum`` is the least severity it is for."""

    @property
    def name(self) -> str: ...

    @property
    def minimum(self) -> Severity: ...

    def send(self, message: Message) -> None:
        """Deliver it.

        Raises:
            NotDeliveredError: It has not been taken, as far as one can tell.
        """


@dataclass(frozen=True)
class LogChannel:
    """The log of the process that delivers."""

    minimum: Severity = "info"
    name: str = "log"

    def send(self, message: Message) -> None:
        """Log it."""
        alert = message.alert
        level = logging.INFO if message.kind == "resolved" else _LEVELS[alert.severity]
        text = f"because {message.why}" if message.kind == "resolved" else alert.text
        logging.getLogger("holdfast.alerting").log(
            level, "%s: %s Evidence: %s Runbook: %s", message.headline, text, alert.evidence or "none", alert.runbook
        )


@dataclass(frozen=True)
class WebhookChannel:
    """Any receiver of JSON. The header ``Idempotency-Key`` is the same in every attempt."""

    url: str
    minimum: Severity
    timeout: float
    name: str = "webhook"

    def send(self, message: Message) -> None:
        """POST it."""
        alert = message.alert.model_dump(mode="json")
        _post(self.url, {"id": message.id, "kind": message.kind, "why": message.why} | alert, message.id, self.timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"  # the address is a secret


@dataclass(frozen=True, repr=False)
class SlackChannel(WebhookChannel):
    """Slack's incoming webhook, and what takes the same."""

    name: str = "slack"

    def send(self, message: Message) -> None:
        """POST it as text with links."""
        _post(self.url, build_slack_body(message), message.id, self.timeout)


def build_channels(rules: AlertSettings) -> list[Channel]:
    """Those that are set up."""
    channels: list[Channel] = [LogChannel(rules.log_minimum)]
    if rules.webhook:
        channels.append(WebhookChannel(rules.webhook.get_secret_value(), rules.webhook_minimum, rules.timeout_seconds))
    if rules.slack_webhook:
        channels.append(
            SlackChannel(rules.slack_webhook.get_secret_value(), rules.slack_minimum, rules.timeout_seconds)
        )
    return channels


def build_slack_body(message: Message) -> dict[str, Any]:
    """A headline for the notification, and a section with the links, in Slack's own markup."""
    alert = message.alert
    text = f"because {message.why}" if message.kind == "resolved" else alert.text
    places = [(alert.evidence, "evidence"), (alert.runbook, "runbook")]
    links = " · ".join(
        f"<{place}|{name}>" if "://" in place else f"{name}: {_escaped(place)}" for place, name in places if place
    )
    section = f"*{_escaped(message.headline)}*\n{_escaped(text)}" + (f"\n{links}" if links else "")
    return {
        "text": _escaped(message.headline),
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": section[:3000]}}],  # Slack takes no more
    }


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(url: str, body: Mapping[str, Any], key: str, timeout: float) -> None:
    try:
        with (
            _unlogged(),
            httpx.stream("POST", url, json=body, headers={"Idempotency-Key": key}, timeout=timeout) as answer,
        ):  # what it says beside its status is not read: it may be endless
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        wrong = isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol)
        said = type(error).__name__ if wrong else f"{type(error).__name__}: {str(error).replace(url, 'its address')}"
        raise DeliveryError(said, refused=wrong) from None
    if not 200 <= status < 300:
        refused = 300 <= status < 500 and status not in _TRY_AGAIN
        raise DeliveryError(f"the receiver answered {status}", refused)


@contextmanager
def _unlogged() -> Iterator[None]:
    """httpx logs every address it asks; these are secrets."""

    def none(record: logging.LogRecord) -> bool:
        return False

    logger = logging.getLogger("httpx")
    logger.addFilter(none)
    try:
        yield
    finally:
        logger.removeFilter(none)
