"""Alert channels: log, webhook, Slack. See docs/decisions/0012-alert-channels.md."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from holdfast.alerting.alert import Message
from holdfast.alerting.settings import AlertSettings
from holdfast.core.plain_text import to_line
from holdfast.monitoring.findings import Severity

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_RETRYABLE = (408, 425, 429)  # the receiver is busy; every other 4xx rejects the message
_SLACK_CHARACTERS = 3000  # Slack's limit of a section
_LINK_END = re.compile(r"[<>|\s]")


class DeliveryError(Exception):
    """Failed delivery. ``rejected``: the receiver responded that it will never accept this message."""

    def __init__(self, reason: str, rejected: bool = False) -> None:
        super().__init__(reason)
        self.rejected = rejected


class Channel(Protocol):
    """Receiver of messages of at least the severity ``minimum``."""

    @property
    def name(self) -> str:
        """Return the name, which is the key of undelivered messages."""

    @property
    def minimum(self) -> Severity:
        """Return the lowest severity that the channel receives."""

    def send(self, message: Message) -> None:
        """Deliver a message.

        Args:
            message: What is sent.

        Raises:
            DeliveryError: The receiver has not confirmed the message.
        """


@dataclass(frozen=True)
class LogChannel:
    """Log of the delivering process."""

    minimum: Severity = "info"
    name: str = "log"

    def send(self, message: Message) -> None:
        """Log a message.

        Args:
            message: What is logged.
        """
        alert = message.alert
        level = logging.INFO if message.kind == "resolved" else _LEVELS[alert.severity]
        logging.getLogger("holdfast.alerting").log(
            level,
            "%s: %s Evidence: %s Runbook: %s",
            message.headline,
            _body_text(message),
            alert.evidence_url or "none",
            alert.runbook,
        )


@dataclass(frozen=True)
class WebhookChannel:
    """Receiver of JSON over HTTP. The header ``Idempotency-Key`` is the same in every attempt."""

    url: str
    minimum: Severity
    timeout: float
    name: str = "webhook"

    def send(self, message: Message) -> None:
        """POST a message as the JSON of :meth:`_body`.

        Args:
            message: What is sent.

        Raises:
            DeliveryError: The receiver has not confirmed the message.
        """
        _post(self.url, self._body(message), message.id, self.timeout)

    def _body(self, message: Message) -> dict[str, Any]:
        alert = message.alert.model_dump(mode="json")
        return {"id": message.id, "kind": message.kind, "why": message.why} | alert

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"  # the URL is a secret


@dataclass(frozen=True, repr=False)
class SlackChannel(WebhookChannel):
    """Incoming webhook of Slack, or a receiver of the same format."""

    name: str = "slack"

    def _body(self, message: Message) -> dict[str, Any]:
        """Return a headline for the notification, and sections: plain texts, and links in Slack's markup."""
        alert, headline = message.alert, to_line(message.headline)
        links = [
            f"<{_LINK_END.sub(lambda found: quote(found.group()), target)}|{name}>"
            if "://" in target
            else f"{name}: {_escape(to_line(target))}"
            for target, name in ((alert.evidence_url, "evidence"), (alert.runbook, "runbook"))
            if target
        ]
        blocks = [_section("plain_text", text) for text in (headline, to_line(_body_text(message))) if text]
        blocks += [_section("mrkdwn", " · ".join(links))] if links else []
        return {"text": _escape(headline), "mrkdwn": False, "blocks": blocks}


def build_channels() -> list[Channel]:
    """Create the channels that the environment configures; the log is always one.

    Returns:
        Log, webhook, Slack, in this order.
    """
    rules = AlertSettings.from_environment()
    channels: list[Channel] = [LogChannel(rules.log_minimum)]
    if rules.webhook:
        channels.append(WebhookChannel(rules.webhook.get_secret_value(), rules.webhook_minimum, rules.timeout_seconds))
    if rules.slack_webhook:
        channels.append(
            SlackChannel(rules.slack_webhook.get_secret_value(), rules.slack_minimum, rules.timeout_seconds)
        )
    return channels


def _body_text(message: Message) -> str:
    return f"because {message.why}" if message.kind == "resolved" else message.alert.text


def _section(kind: str, text: str) -> dict[str, Any]:
    """Build a section of a Slack message."""
    return {"type": "section", "text": {"type": kind, "text": text[:_SLACK_CHARACTERS]}}


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(url: str, body: Mapping[str, Any], key: str, timeout: float) -> None:
    try:
        with (
            _without_httpx_log(),
            httpx.stream("POST", url, json=body, headers={"Idempotency-Key": key}, timeout=timeout) as response,
        ):  # the body of the response is not read: it may be endless
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        invalid = isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol)
        reason = type(error).__name__
        if not invalid:
            reason += f": {str(error).replace(url, 'its address')}"
        raise DeliveryError(reason, rejected=invalid) from None
    if not 200 <= status < 300:
        raise DeliveryError(f"the receiver responded with {status}", 300 <= status < 500 and status not in _RETRYABLE)


@contextmanager
def _without_httpx_log() -> Iterator[None]:
    """Suppress httpx's log of request URLs: these are secrets."""

    def reject(record: logging.LogRecord) -> bool:
        return False

    logger = logging.getLogger("httpx")
    logger.addFilter(reject)
    try:
        yield
    finally:
        logger.removeFilter(reject)
