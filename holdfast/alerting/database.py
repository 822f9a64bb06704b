"""SQLite file of alerts. Its WAL mode lets readers proceed during a write; a killed process loses nothing written."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from feature_repo.settings import Settings

_SCHEMA = """
CREATE TABLE IF NOT EXISTS alert (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, source TEXT NOT NULL, severity TEXT NOT NULL, title TEXT NOT NULL,
  text TEXT NOT NULL, evidence TEXT NOT NULL, runbook TEXT NOT NULL, opened TEXT NOT NULL, last_seen TEXT NOT NULL,
  count INTEGER NOT NULL DEFAULT 1, last_told TEXT NOT NULL, resolved TEXT, why TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX IF NOT EXISTS open_alert ON alert (key) WHERE resolved IS NULL;
CREATE TABLE IF NOT EXISTS message (
  id TEXT PRIMARY KEY, alert INTEGER NOT NULL REFERENCES alert, kind TEXT NOT NULL, created TEXT NOT NULL,
  severity TEXT NOT NULL, body TEXT NOT NULL, addressed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS unaddressed ON message (addressed) WHERE addressed = 0;
CREATE TABLE IF NOT EXISTS delivery (
  id INTEGER PRIMARY KEY, message TEXT NOT NULL REFERENCES message, alert INTEGER NOT NULL, channel TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, next_try TEXT NOT NULL, claimed_until TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'pending', ended TEXT, error TEXT NOT NULL DEFAULT '', UNIQUE (message, channel));
CREATE TABLE IF NOT EXISTS channel (name TEXT PRIMARY KEY, minimum TEXT NOT NULL, seen TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS pending ON delivery (channel, next_try) WHERE state IN ('pending', 'refused');
"""


@contextmanager
def open_database(settings: Settings) -> Iterator[sqlite3.Connection]:
    """Open the file, and create it if it is missing.

    Args:
        settings: Names the file.

    Yields:
        A connection in autocommit mode; see :func:`transaction`.
    """
    settings.alerts.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(settings.alerts, timeout=30, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        yield connection
    finally:
        connection.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block as one transaction; one writer at a time.

    Args:
        connection: In autocommit mode.

    Yields:
        Nothing.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def format_time(time: datetime) -> str:
    """Format a time as text that sorts by time.

    Args:
        time: With a time zone.

    Returns:
        ISO 8601 in UTC, with microseconds.
    """
    return time.astimezone(UTC).isoformat(timespec="microseconds")
