"""Sends what waits in the outbox, at least once: a message is done when its receiver has taken it, not before.

Whoever sends claims a message first, so that two senders do not send it both; a claim of one that was killed ends by
itself, and the message is sent again under the same id.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection, Row
from time import monotonic

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert, Message, OpenAlert, severity_rank
from holdfast.alerting.channels import Channel, DeliveryError, build_channels
from holdfast.alerting.database import format_time, open_database, transaction
from holdfast.alerting.settings import AlertSettings, load_alert_settings

_CLAIM = timedelta(
    seconds=90
)  # longer than any receiver may take: `timeout_seconds` counts per read, and is at most 30

# In the order of one alert's life, so that nobody hears that it is over before that it began; but one that the receiver
# refuses holds up no other.
_DUE = """
SELECT delivery.id, attempts, body, created FROM delivery JOIN message ON message.id = delivery.message
WHERE channel = :channel AND state IN ('pending', 'refused') AND next_try <= :now AND claimed_until <= :now
AND NOT EXISTS (SELECT 1 FROM delivery earlier WHERE earlier.alert = delivery.alert AND earlier.state = 'pending'
  AND earlier.channel = delivery.channel AND earlier.id < delivery.id)
ORDER BY next_try, delivery.id LIMIT 1
"""


@dataclass(frozen=True)
class DeliveryCounts:
    """What came of it. ``waiting`` will be tried again, ``given_up`` not."""

    sent: int = 0
    waiting: int = 0
    given_up: int = 0


def deliver_now(settings: Settings) -> DeliveryCounts | None:
    """Deliver to the channels of the environment; what goes wrong is logged, and tried again by the flow ``alerts``."""
    try:
        return deliver(settings, build_channels(load_alert_settings()), datetime.now(UTC))
    except Exception:
        logging.getLogger(__name__).exception("Alerts could not be delivered; the flow alerts tries again.")
        return None


def deliver(settings: Settings, channels: Sequence[Channel], now: datetime) -> DeliveryCounts:
    """Send all that is due on each channel. A receiver that is down is asked once, then left until later."""
    rules, began = load_alert_settings(), monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=monotonic() - began)

    sent = given_up = 0
    with open_database(settings) as database:
        _address(database, channels, now, rules)
        given_up += _abandoned(database, channels, now, rules)
        for channel in channels:
            while row := _claimed(database, channel.name, clock()):
                try:
                    channel.send(Message.model_validate_json(row["body"]))
                except DeliveryError as error:
                    given_up += _failed(database, channel.name, row, error, clock(), rules)
                    if not error.refused:
                        break
                else:
                    _end(database, row["id"], "sent", clock())
                    sent += 1
        waiting = "SELECT count(*) FROM delivery WHERE state IN ('pending', 'refused')"
        return DeliveryCounts(sent, database.execute(waiting).fetchone()[0], given_up)


def send_without_outbox(alerts: Sequence[Alert], why: str, now: datetime) -> None:
    """Send alerts that could not be kept, once and at once. Nothing counts them: the next try sends them again.

    The id is the same for the whole day, so that a receiver can drop what it has.
    """
    log = logging.getLogger("holdfast.alerting")
    for alert in alerts:
        log.error("This alert could not be kept (%s), so it is sent without: %s", why, alert.title)
        told = OpenAlert(**alert.model_dump(), source="unkept", opened=now, last_seen=now, count=1)
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{alert.key} {now:%Y-%m-%d}"))
        message = Message(id=key, kind="opened", alert=told)
        for channel in build_channels(load_alert_settings()):
            if severity_rank(alert.severity) < severity_rank(channel.minimum):
                continue
            try:
                channel.send(message)
            except DeliveryError as error:
                log.error("%s did not take it: %s", channel.name, error)


def _address(database: Connection, channels: Sequence[Channel], now: datetime, rules: AlertSettings) -> None:
    """Each message goes to the channels there are when it is first seen here: one set up later gets no old news.

    A channel that another process has, as the worker has and a person's terminal may not, is one, too: it sends then.
    """
    with transaction(database):
        for channel in channels:
            database.execute(
                "INSERT OR REPLACE INTO channel VALUES (?, ?, ?)", (channel.name, channel.minimum, format_time(now))
            )
        known = database.execute(
            "SELECT name, minimum FROM channel WHERE seen > ?", (format_time(now - timedelta(days=rules.give_up_days)),)
        ).fetchall()
        for row in database.execute("SELECT * FROM message WHERE addressed = 0 ORDER BY rowid").fetchall():
            for name, minimum in known:
                if severity_rank(row["severity"]) >= severity_rank(minimum):
                    database.execute(
                        "INSERT INTO delivery (message, alert, channel, next_try) VALUES (?, ?, ?, ?)",
                        (row["id"], row["alert"], name, format_time(now)),
                    )
            database.execute("UPDATE message SET addressed = 1 WHERE id = ?", (row["id"],))


def _abandoned(database: Connection, channels: Sequence[Channel], now: datetime, rules: AlertSettings) -> int:
    """Give up what is addressed to a channel that nobody has any more; how many."""
    names = [channel.name for channel in channels]
    with transaction(database):
        done = database.execute(
            "UPDATE delivery SET state = 'given up', ended = ?, error = 'nobody has this channel any more'"
            f" WHERE state IN ('pending', 'refused') AND channel NOT IN ({', '.join('?' * len(names))})"
            " AND message IN (SELECT id FROM message WHERE created <= ?)",
            (format_time(now), *names, format_time(now - timedelta(days=rules.give_up_days))),
        )
    if done.rowcount:
        logging.getLogger("holdfast.alerting").error("Given up %d message(s): nobody has their channel.", done.rowcount)
    return done.rowcount


def _claimed(database: Connection, channel: str, now: datetime) -> Row | None:
    with transaction(database):
        row: Row | None = database.execute(_DUE, {"channel": channel, "now": format_time(now)}).fetchone()
        if row is not None:
            database.execute(
                "UPDATE delivery SET claimed_until = ? WHERE id = ?", (format_time(now + _CLAIM), row["id"])
            )
    return row


def _failed(
    database: Connection, channel: str, row: Row, error: DeliveryError, now: datetime, rules: AlertSettings
) -> bool:
    """Try again later, each time twice as late; or give up, which is said in the log."""
    if format_time(now - timedelta(days=rules.give_up_days)) >= row["created"]:
        _end(database, row["id"], "given up", now, str(error))
        headline = Message.model_validate_json(row["body"]).headline
        logging.getLogger("holdfast.alerting").error("Given up telling %s: %s. %s", channel, headline, error)
        return True
    wait = min(rules.first_retry_seconds * 2 ** min(row["attempts"], 30), rules.longest_retry_seconds)
    database.execute(
        "UPDATE delivery SET attempts = attempts + 1, next_try = ?, claimed_until = '', state = ?, error = ?"
        " WHERE id = ?",
        (format_time(now + timedelta(seconds=wait)), "refused" if error.refused else "pending", str(error), row["id"]),
    )
    return False


def _end(database: Connection, delivery: int, state: str, now: datetime, error: str = "") -> None:
    database.execute(
        "UPDATE delivery SET state = ?, ended = ?, attempts = attempts + 1, error = ? WHERE id = ?",
        (state, format_time(now), error, delivery),
    )
