"""Tables of alerts and their deliveries; a killed process loses nothing written."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime

from sqlalchemy import Connection

from feature_repo.settings import Settings
from holdfast.shared_state.database import open_connection

# Each table of SQLite has a rowid; PostgreSQL gets a column of that name.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS alert (
  id {key}, key TEXT NOT NULL, source TEXT NOT NULL, severity TEXT NOT NULL, title TEXT NOT NULL,
  text TEXT NOT NULL, evidence TEXT NOT NULL, runbook TEXT NOT NULL, opened TEXT NOT NULL, last_seen TEXT NOT NULL,
  count INTEGER NOT NULL DEFAULT 1, last_told TEXT NOT NULL, resolved TEXT, why TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX IF NOT EXISTS open_alert ON alert (key) WHERE resolved IS NULL;
CREATE TABLE IF NOT EXISTS message (
  id TEXT PRIMARY KEY, alert INTEGER NOT NULL REFERENCES alert, kind TEXT NOT NULL, created TEXT NOT NULL,
  severity TEXT NOT NULL, body TEXT NOT NULL, addressed INTEGER NOT NULL DEFAULT 0{number});
CREATE INDEX IF NOT EXISTS unaddressed ON message (addressed) WHERE addressed = 0;
CREATE TABLE IF NOT EXISTS delivery (
  id {key}, message TEXT NOT NULL REFERENCES message, alert INTEGER NOT NULL, channel TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, next_try TEXT NOT NULL, claimed_until TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'pending', ended TEXT, error TEXT NOT NULL DEFAULT '', UNIQUE (message, channel));
CREATE TABLE IF NOT EXISTS channel (name TEXT PRIMARY KEY, minimum TEXT NOT NULL, seen TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS pending ON delivery (channel, next_try) WHERE state IN ('pending', 'refused')
"""


def open_database(settings: Settings) -> AbstractContextManager[Connection]:
    """Open the database of alerts, and create missing tables.

    Args:
        settings: Settings with the SQLite file and the shared database.

    Returns:
        Context of a connection in autocommit mode; see :func:`holdfast.shared_state.database.transaction`.
    """
    return open_connection(settings, settings.alerts, _SCHEMA)


def format_time(time: datetime) -> str:
    """Format a time as text that sorts by time.

    Args:
        time: With a time zone.

    Returns:
        ISO 8601 in UTC, with microseconds.
    """
    return time.astimezone(UTC).isoformat(timespec="microseconds")
