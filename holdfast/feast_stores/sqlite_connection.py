"""SQLite connection that stores times in UTC."""

import sqlite3
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

_TIME_COLUMNS = ("event_ts", "created_ts")


class UtcConnection(sqlite3.Connection):
    """Connection that stores datetimes as seconds since 1970 and reads time columns as naive UTC.

    Feast passes naive UTC times to SQLite, and its process-wide adapters convert them as local times: a store that is
    written in one time zone and read in another would be hours older or younger than it is.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row_factory = _with_utc_times

    @override
    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute a statement; overrides the method of sqlite3."""
        return super().execute(sql, [_epoch_seconds(value) for value in parameters])


def _epoch_seconds(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())


def _with_utc_times(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        datetime.fromtimestamp(value, UTC).replace(tzinfo=None)
        if column[0] in _TIME_COLUMNS and value is not None
        else value
        for column, value in zip(cursor.description, row, strict=True)
    )
