"""Opens alerts, counts them while they last, resolves them; what is to be told of each waits here until delivered."""

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
from holdfast.alerting.settings import load_alert_settings

_OVER = "it was not found any more"


def raise_alerts(
    settings: Settings,
    source: str,
    alerts: Sequence[Alert],
    now: datetime,
    judged: Callable[[str], bool] = lambda _key: True,
) -> list[Alert]:
    """What ``source`` finds wrong now; returns those that were not open before.

    One that is open is counted, and told again only if it got worse or the reminder is due. Open alerts of the same
    source that are not among ``alerts`` are resolved, if their key is of something that was ``judged``. Nothing is
    sent here: see :func:`deliver`.
    """
    with _notify_unconditionally(alerts, now), open_database(settings) as database, transaction(database):
        new = [alert for alert in alerts if _raise(database, source, alert, now)]
        still = {alert.key for alert in alerts}
        for row in database.execute("SELECT * FROM alert WHERE resolved IS NULL AND source = ?", (source,)).fetchall():
            if row["key"] not in still and judged(row["key"]):
                _resolve(database, row, _OVER, now)
    return new


def add_alert(settings: Settings, alert: Alert, now: datetime, source: str = "once") -> bool:
    """Raise one alert that no later run takes back by itself; whether it was not open before."""
    with _notify_unconditionally([alert], now), open_database(settings) as database, transaction(database):
        return _raise(database, source, alert, now)


def list_open_alerts(settings: Settings) -> list[OpenAlert]:
    """What is not resolved, worst first."""
    with open_database(settings) as database:
        rows = database.execute("SELECT * FROM alert WHERE resolved IS NULL ORDER BY opened, id").fetchall()
    return sorted((_alert(row) for row in rows), key=lambda alert: -severity_rank(alert.severity))


def resolve_alert(settings: Settings, key: str, why: str, now: datetime) -> bool:
    """Close the alert of this key; whether it was open. It is told as resolved, with ``why``."""
    with open_database(settings) as database, transaction(database):
        row = database.execute("SELECT * FROM alert WHERE resolved IS NULL AND key = ?", (key,)).fetchone()
        if row is not None:
            _resolve(database, row, why, now)
    return row is not None


def queue_reminders(settings: Settings, now: datetime) -> int:
    """Tell again of what has been open since the reminder time; how many."""
    before = format_time(now - timedelta(hours=load_alert_settings().reminder_hours))
    with open_database(settings) as database, transaction(database):
        due = database.execute("SELECT * FROM alert WHERE resolved IS NULL AND last_told <= ?", (before,)).fetchall()
        for row in due:
            _message(database, row["id"], "reminder", now)
    return len(due)


@contextmanager
def _notify_unconditionally(alerts: Sequence[Alert], now: datetime) -> Iterator[None]:
    """What cannot be kept, as on a full disk, is at least sent; the error goes on to whoever raised the alert."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        send_without_outbox(alerts, str(error), now)
        raise


def _raise(database: Connection, source: str, alert: Alert, now: datetime) -> bool:
    said = (alert.title, alert.text, alert.evidence, alert.runbook)
    row = database.execute("SELECT * FROM alert WHERE resolved IS NULL AND key = ?", (alert.key,)).fetchone()
    if row is None:
        made = database.execute(
            "INSERT INTO alert (key, source, severity, title, text, evidence, runbook, opened, last_seen, last_told)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (alert.key, source, alert.severity, *said, *[format_time(now)] * 3),
        )
        assert made.lastrowid is not None
        _message(database, made.lastrowid, "opened", now)
        return True
    worse = severity_rank(alert.severity) > severity_rank(row["severity"])
    database.execute(
        "UPDATE alert SET title = ?, text = ?, evidence = ?, runbook = ?, severity = ?, last_seen = max(last_seen, ?),"
        " count = count + 1 WHERE id = ?",
        (*said, alert.severity if worse else row["severity"], format_time(now), row["id"]),
    )
    if worse:
        _message(database, row["id"], "raised", now)
    elif row["last_told"] <= format_time(now - timedelta(hours=load_alert_settings().reminder_hours)):
        _message(database, row["id"], "reminder", now)
    return False


def _resolve(database: Connection, row: Row, why: str, now: datetime) -> None:
    database.execute("UPDATE alert SET resolved = ?, why = ? WHERE id = ?", (format_time(now), why, row["id"]))
    _message(database, row["id"], "resolved", now)


def _message(database: Connection, alert: int, kind: MessageKind, now: datetime) -> None:
    """Written in the same transaction as what it tells: neither is there without the other."""
    row = database.execute("SELECT * FROM alert WHERE id = ?", (alert,)).fetchone()
    message = Message(id=str(uuid.uuid4()), kind=kind, alert=_alert(row), why=row["why"])
    database.execute(
        "INSERT INTO message (id, alert, kind, created, severity, body) VALUES (?, ?, ?, ?, ?, ?)",
        (message.id, alert, kind, format_time(now), row["severity"], message.model_dump_json()),
    )
    database.execute("UPDATE alert SET last_told = ? WHERE id = ?", (format_time(now), alert))


def _alert(row: Row) -> OpenAlert:
    return OpenAlert.model_validate({name: row[name] for name in OpenAlert.model_fields})
