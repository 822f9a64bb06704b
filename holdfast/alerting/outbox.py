"""Transactional outbox of alerts: opens, counts and resolves alerts, and stores their messages until delivery."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import SQLAlchemyError

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert, Message, MessageKind, OpenAlert, severity_rank
from holdfast.alerting.database import format_time, open_database
from holdfast.alerting.delivery import send_without_outbox
from holdfast.alerting.settings import AlertSettings
from holdfast.shared_state.database import DatabaseUnavailableError, error_reason, fetch, run, transaction

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
        for row in fetch(database, "SELECT * FROM alert WHERE resolved IS NULL AND source = :source", source=source):
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
        rows = fetch(database, "SELECT * FROM alert WHERE resolved IS NULL ORDER BY opened, id")
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
        row = _find_open(database, key)
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
        due = fetch(database, "SELECT * FROM alert WHERE resolved IS NULL AND last_told <= :before", before=before)
        for row in due:
            _add_message(database, row["id"], "reminder", now)
    return len(due)


@contextmanager
def _notify_unconditionally(alerts: Sequence[Alert], now: datetime) -> Iterator[None]:
    """Send alerts that cannot be saved, as on a full disk, and raise the error again."""
    try:
        yield
    except (SQLAlchemyError, DatabaseUnavailableError, OSError) as error:
        send_without_outbox(alerts, error_reason(error), now)
        raise


def _raise(database: Connection, source: str, alert: Alert, now: datetime) -> bool:
    content = {
        "title": alert.title,
        "text": alert.text,
        "evidence": alert.evidence_url,
        "runbook": alert.runbook,
        "now": format_time(now),
    }
    row = _find_open(database, alert.key)
    if row is None:
        (inserted,) = fetch(
            database,
            "INSERT INTO alert (key, source, severity, title, text, evidence, runbook, opened, last_seen, last_told)"
            " VALUES (:key, :source, :severity, :title, :text, :evidence, :runbook, :now, :now, :now) RETURNING id",
            key=alert.key,
            source=source,
            severity=alert.severity,
            **content,
        )
        _add_message(database, inserted["id"], "opened", now)
        return True
    worse = severity_rank(alert.severity) > severity_rank(row["severity"])
    run(
        database,
        "UPDATE alert SET title = :title, text = :text, evidence = :evidence, runbook = :runbook, severity = :severity,"
        " last_seen = CASE WHEN last_seen > :now THEN last_seen ELSE :now END, count = count + 1 WHERE id = :id",
        severity=alert.severity if worse else row["severity"],
        id=row["id"],
        **content,
    )
    if worse:
        _add_message(database, row["id"], "raised", now)
    elif row["last_told"] <= format_time(now - timedelta(hours=AlertSettings.from_environment().reminder_hours)):
        _add_message(database, row["id"], "reminder", now)
    return False


def _find_open(database: Connection, key: str) -> RowMapping | None:
    return next(iter(fetch(database, "SELECT * FROM alert WHERE resolved IS NULL AND key = :key", key=key)), None)


def _resolve(database: Connection, row: RowMapping, why: str, now: datetime) -> None:
    run(
        database,
        "UPDATE alert SET resolved = :now, why = :why WHERE id = :id",
        now=format_time(now),
        why=why,
        id=row["id"],
    )
    _add_message(database, row["id"], "resolved", now)


def _add_message(database: Connection, alert: int, kind: MessageKind, now: datetime) -> None:
    """Store a message in the transaction of the change that it is about: neither exists without the other."""
    (row,) = fetch(database, "SELECT * FROM alert WHERE id = :id", id=alert)
    message = Message(id=str(uuid.uuid4()), kind=kind, alert=_to_alert(row), why=row["why"])
    run(
        database,
        "INSERT INTO message (id, alert, kind, created, severity, body)"
        " VALUES (:id, :alert, :kind, :created, :severity, :body)",
        id=message.id,
        alert=alert,
        kind=kind,
        created=format_time(now),
        severity=row["severity"],
        body=message.model_dump_json(),
    )
    run(database, "UPDATE alert SET last_told = :now WHERE id = :id", now=format_time(now), id=alert)


def _to_alert(row: RowMapping) -> OpenAlert:
    return OpenAlert.model_validate(dict(row))
