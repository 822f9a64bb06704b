"""SQLite databases of tests."""

import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


def _skip(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def skip_disk_waits() -> None:
    """Let MLflow and Optuna in this process commit without waiting for the disk, some milliseconds each.

    A killed process loses nothing by it; only a machine that loses power does.
    """
    event.listen(Engine, "connect", _skip)
