"""Transactional outbox of alerts: opens, counts and resolves alerts, and stores their messages until delivery."""

import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from sqlite3 import Connection, Row

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert, Message, MessageKind, OpenAlert, severity_rank
from holdfast.alerting.database import format_time, open_database, transaction
from holdfast.alerting.delivery import send_without_outbox
from holdfast.alerting.settings import AlertSettings

_NOT_FOUND_AGAIN = "it was not found again"


def raise_alerts(
    settings: Settings,
    source: str,
    alerts: Sequence[Alert],
    now: datetime,
    is_evaluated: Callable[[str], bool] = lambda _key: True,
) -> list[Alert]:
    """Raise all current alerts of a source, and resolve its open alerts that are not among them.

    An open alert is counted; it gets a new message only if its severity rises or its reminder is due. Nothing is sent:
    see :func:`holdfast.alerting.delivery.deliver`.

    Args:
        settings: Names the outbox.
        source: Who raises the alerts, such as ``monitor.drift``.
        alerts: All that the source finds at ``now``.
        now: Time of the evaluation.
        is_evaluated: True for keys whose absence from ``alerts`` means that the problem is over; by default all.

    Returns:
        The alerts that were not open before.
    """
    with _notify_unconditionally(alerts, now), open_database(settings) as database, transaction(database):
        new = [alert for alert in alerts if _raise(database, source, alert, now)]
        current = {alert.key for alert in alerts}
        for row in database.execute("SELECT * FROM alert WHERE resolved IS NULL AND source = ?", (source,)).fetchall():
            if row["key"] not in current and is_evaluated(row["key"]):
                _resolve(database, row, _NOT_FOUND_AGAIN, now)
    return new


def add_alert(settings: Settings, alert: Alert, now: datetime, source: str = "once") -> bool:
    """Raise one alert that stays open until it is resolved by its key.

    Args:
        settings: Names the outbox.
        alert: What is raised.
        now: Time of the event.
        source: Who raises the alert.

    Returns:
        True if the alert was not open before.
    """
    with _notify_unconditionally([alert], now), open_database(settings) as database, transaction(database):
        return _raise(database, source, alert, now)


def list_open_alerts(settings: Settings) -> list[OpenAlert]:
    """List the unresolved alerts.

    Args:
        settings: Names the outbox.

    Returns:
        The alerts, worst first, then oldest first.
    """
    with open_database(settings) as database:
        rows = database.execute("SELECT * FROM alert WHERE resolved IS NULL ORDER BY opened, id").fetchall()
    return sorted((_to_alert(row) for row in rows), key=lambda alert: -severity_rank(alert.severity))


def resolve_alert(settings: Settings, key: str, why: str, now: datetime) -> bool:
    """Resolve the open alert of a key, and store a message about it.

    Args:
        settings: Names the outbox.
        key: Identity of the alert.
        why: Reason, part of the message.
        now: Time of the resolution.

    Returns:
        True if the alert was open.
    """
    with open_database(settings) as database, transaction(database):
        row = database.execute("SELECT * FROM alert WHERE resolved IS NULL AND key = ?", (key,)).fetchone()
        if row is not None:
            _resolve(database, row, why, now)
    return row is not None


def queue_reminders(settings: Settings, now: datetime) -> int:
    """Store a reminder for each open alert whose last message is older than the reminder time.

    Args:
        settings: Names the outbox.
        now: Time of the reminders.

    Returns:
        The number of reminders.
    """
    before = format_time(now - timedelta(hours=AlertSettings.from_environment().reminder_hours))
    with open_database(settings) as database, transaction(database):
        due = database.execute("SELECT * FROM alert WHERE resolved IS NULL AND last_told <= ?", (before,)).fetchall()
        for row in due:
            _add_message(database, row["id"], "reminder", now)
    return len(due)


@contextmanager
def _notify_unconditionally(alerts: Sequence[Alert], now: datetime) -> Iterator[None]:
    """Send alerts that cannot be saved, as on a full disk, and raise the error again."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        send_without_outbox(alerts, str(error), now)
        raise


def _raise(database: Connection, source: str, alert: Alert, now: datetime) -> bool:
    content = (alert.title, alert.text, alert.evidence_url, alert.runbook)
    row = database.execute("SELECT * FROM alert WHERE resolved IS NULL AND key = ?", (alert.key,)).fetchone()
    if row is None:
        inserted = database.execute(
            "INSERT INTO alert (key, source, severity, title, text, evidence, runbook, opened, last_seen, last_told)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (alert.key, source, alert.severity, *content, *[format_time(now)] * 3),
        )
        assert inserted.lastrowid is not None
        _add_message(database, inserted.lastrowid, "opened", now)
        return True
    worse = severity_rank(alert.severity) > severity_rank(row["severity"])
    database.execute(
        "UPDATE alert SET title = ?, text = ?, evidence = ?, runbook = ?, severity = ?, last_seen = max(last_seen, ?),"
        " count = count + 1 WHERE id = ?",
        (*content, alert.severity if worse else row["severity"], format_time(now), row["id"]),
    )
    if worse:
        _add_message(database, row["id"], "raised", now)
    elif row["last_told"] <= format_time(now - timedelta(hours=AlertSettings.from_environment().reminder_hours)):
        _add_message(database, row["id"], "reminder", now)
    return False


def _resolve(database: Connection, row: Row, why: str, now: datetime) -> None:
    database.execute("UPDATE alert SET resolved = ?, why = ? WHERE id = ?", (format_time(now), why, row["id"]))
    _add_message(database, row["id"], "resolved", now)


def _add_message(database: Connection, alert: int, kind: MessageKind, now: datetime) -> None:
    """Store a message in the transaction of the change that it is about: neither exists without the other."""
    row = database.execute("SELECT * FROM alert WHERE id = ?", (alert,)).fetchone()
    message = Message(id=str(uuid.uuid4()), kind=kind, alert=_to_alert(row), why=row["why"])
    database.execute(
        "INSERT INTO message (id, alert, kind, created, severity, body) VALUES (?, ?, ?, ?, ?, ?)",
        (message.id, alert, kind, format_time(now), row["severity"], message.model_dump_json()),
    )
    database.execute("UPDATE alert SET last_told = ? WHERE id = ?", (format_time(now), alert))


def _to_alert(row: Row) -> OpenAlert:
    return OpenAlert.model_validate(dict(row))
