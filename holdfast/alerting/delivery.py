"""At-least-once delivery of the outbox: a message is done when its receiver has confirmed it.

A sender claims a message first, so that two senders do not both send it. The claim of a killed sender expires, and the
message is sent again under the same id.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import Connection, RowMapping

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert, Message, OpenAlert, severity_rank
from holdfast.alerting.channels import Channel, DeliveryError, build_channels
from holdfast.alerting.database import format_time, open_database
from holdfast.alerting.settings import AlertSettings
from holdfast.core.formatting import format_count
from holdfast.shared_state.database import fetch, run, transaction

_LOG = logging.getLogger("holdfast.alerting")

# Longer than any receiver may take: `timeout_seconds` counts per read, and is at most 30.
_CLAIM = timedelta(seconds=90)

# The messages of one alert are sent in order, so that no receiver gets "resolved" before "opened". A rejected message
# delays no other.
_DUE = """
SELECT delivery.id, attempts, body, created FROM delivery JOIN message ON message.id = delivery.message
WHERE channel = :channel AND state IN ('pending', 'refused') AND next_try <= :now AND claimed_until <= :now
AND NOT EXISTS (SELECT 1 FROM delivery earlier WHERE earlier.alert = delivery.alert AND earlier.state = 'pending'
  AND earlier.channel = delivery.channel AND earlier.id < delivery.id)
ORDER BY next_try, delivery.id LIMIT 1
"""


@dataclass(frozen=True)
class DeliveryCounts:
    """Numbers of messages: sent, waiting for another attempt, given up."""

    sent: int = 0
    waiting: int = 0
    given_up: int = 0


def deliver_now(settings: Settings) -> DeliveryCounts | None:
    """Deliver to the configured channels. A failure is logged; the flow ``alerts`` tries again.

    Args:
        settings: Names the outbox.

    Returns:
        The counts; None after a failure.
    """
    try:
        return deliver(settings, build_channels(), datetime.now(UTC))
    except Exception:
        logging.getLogger(__name__).exception("Alerts could not be delivered; the flow alerts tries again.")
        return None


def deliver(settings: Settings, channels: Sequence[Channel], now: datetime) -> DeliveryCounts:
    """Send all due messages on each channel; after a failed attempt the rest of the channel waits.

    Args:
        settings: Names the outbox.
        channels: Receivers that this process can reach.
        now: Time of the delivery.

    Returns:
        The counts over all channels.
    """
    rules, started = AlertSettings.from_environment(), monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=monotonic() - started)

    sent = 0
    with open_database(settings) as database:
        _address_messages(database, channels, now, rules)
        given_up = _give_up_orphaned(database, channels, now, rules)
        for channel in channels:
            while row := _claim_next(database, channel.name, clock()):
                try:
                    channel.send(Message.model_validate_json(row["body"]))
                except DeliveryError as error:
                    given_up += _record_failure(database, channel.name, row, error, clock(), rules)
                    if not error.rejected:
                        break
                else:
                    _end_delivery(database, row["id"], "sent", clock())
                    sent += 1
        (waiting,) = fetch(database, "SELECT count(*) AS n FROM delivery WHERE state IN ('pending', 'refused')")
        return DeliveryCounts(sent, waiting["n"], given_up)


def send_without_outbox(alerts: Sequence[Alert], reason: str, now: datetime) -> None:
    """Send alerts that could not be saved, once. Every later attempt to raise them sends them again.

    The message id is the same for a whole day, so that a receiver can drop duplicates.

    Args:
        alerts: What is sent.
        reason: Error of the outbox, for the log.
        now: Time of the delivery.
    """
    for alert in alerts:
        _LOG.error("This alert could not be saved (%s), so it is sent without the outbox: %s", reason, alert.title)
        message = Message(
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{alert.key} {now:%Y-%m-%d}")),
            kind="opened",
            alert=OpenAlert(**alert.model_dump(), source="unkept", opened=now, last_seen=now, count=1),
        )
        for channel in build_channels():
            if severity_rank(alert.severity) < severity_rank(channel.minimum):
                continue
            try:
                channel.send(message)
            except DeliveryError as error:
                _LOG.error("%s has not received it: %s", channel.name, error)


def _address_messages(database: Connection, channels: Sequence[Channel], now: datetime, rules: AlertSettings) -> None:
    """Assign each new message to the channels that exist now: a channel added later gets no old messages.

    Channels of other processes count too: the worker may have one that a terminal has not, and sends then.
    """
    with transaction(database):
        for channel in channels:
            run(
                database,
                "INSERT INTO channel (name, minimum, seen) VALUES (:name, :minimum, :now)"
                " ON CONFLICT (name) DO UPDATE SET minimum = excluded.minimum, seen = :now",
                name=channel.name,
                minimum=channel.minimum,
                now=format_time(now),
            )
        begin = format_time(now - timedelta(days=rules.give_up_days))
        active = fetch(database, "SELECT name, minimum FROM channel WHERE seen > :begin", begin=begin)
        for row in fetch(database, "SELECT * FROM message WHERE addressed = 0 ORDER BY rowid"):
            for receiver in active:
                if severity_rank(row["severity"]) >= severity_rank(receiver["minimum"]):
                    run(
                        database,
                        "INSERT INTO delivery (message, alert, channel, next_try)"
                        " VALUES (:message, :alert, :channel, :now)",
                        message=row["id"],
                        alert=row["alert"],
                        channel=receiver["name"],
                        now=format_time(now),
                    )
            run(database, "UPDATE message SET addressed = 1 WHERE id = :id", id=row["id"])


def _give_up_orphaned(database: Connection, channels: Sequence[Channel], now: datetime, rules: AlertSettings) -> int:
    """Give up old messages to channels that are no longer configured; returns their number."""
    with transaction(database):
        count = run(
            database,
            "UPDATE delivery SET state = 'given up', ended = :now, error = 'this channel is no longer configured'"
            " WHERE state IN ('pending', 'refused') AND channel NOT IN :channels"
            " AND message IN (SELECT id FROM message WHERE created <= :before)",
            now=format_time(now),
            before=format_time(now - timedelta(days=rules.give_up_days)),
            channels=[channel.name for channel in channels],
        )
    if count:
        _LOG.error("Gave up %s: the channel is no longer configured.", format_count(count, "message"))
    return count


def _claim_next(database: Connection, channel: str, now: datetime) -> RowMapping | None:
    with transaction(database):
        row = next(iter(fetch(database, _DUE, channel=channel, now=format_time(now))), None)
        if row is not None:
            until = format_time(now + _CLAIM)
            run(database, "UPDATE delivery SET claimed_until = :until WHERE id = :id", until=until, id=row["id"])
    return row


def _record_failure(
    database: Connection, channel: str, row: RowMapping, error: DeliveryError, now: datetime, rules: AlertSettings
) -> bool:
    """Schedule the next attempt, each after twice the wait, or give up; returns True if given up."""
    if format_time(now - timedelta(days=rules.give_up_days)) >= row["created"]:
        _end_delivery(database, row["id"], "given up", now, str(error))
        headline = Message.model_validate_json(row["body"]).headline
        _LOG.error("Gave up sending to %s: %s. %s", channel, headline, error)
        return True
    wait = min(rules.first_retry_seconds * 2 ** min(row["attempts"], 30), rules.longest_retry_seconds)
    run(
        database,
        "UPDATE delivery SET attempts = attempts + 1, next_try = :next_try, claimed_until = '', state = :state,"
        " error = :error WHERE id = :id",
        next_try=format_time(now + timedelta(seconds=wait)),
        state="refused" if error.rejected else "pending",
        error=str(error),
        id=row["id"],
    )
    return False


def _end_delivery(database: Connection, delivery: int, state: str, now: datetime, error: str = "") -> None:
    run(
        database,
        "UPDATE delivery SET state = :state, ended = :ended, attempts = attempts + 1, error = :error WHERE id = :id",
        state=state,
        ended=format_time(now),
        error=error,
        id=delivery,
    )
