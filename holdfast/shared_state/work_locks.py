"""Locks of works that two processes must not do at once, on one machine or on several."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.core.path_names import require_path_name
from holdfast.shared_state.database import CONNECT_SECONDS, SCHEMA, database_url, explain_unavailable

if TYPE_CHECKING:
    from psycopg import Connection

_Check = Callable[[], None]

# A server that hears nothing from a machine for 25 seconds ends its connections.
_KEEPALIVE = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
_TABLE = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.work_lock (
  work TEXT PRIMARY KEY, token BIGINT NOT NULL, holder TEXT NOT NULL, since TIMESTAMPTZ NOT NULL)
"""
_LOCK = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_NEXT_TOKEN = f"""
INSERT INTO {SCHEMA}.work_lock AS stored (work, token, holder, since) VALUES (%s, 1, %s, now())
ON CONFLICT (work) DO UPDATE SET token = stored.token + 1, holder = EXCLUDED.holder, since = EXCLUDED.since
RETURNING token
"""
_HOLDER = f"SELECT holder, since FROM {SCHEMA}.work_lock WHERE work = %s"
_TOKEN = f"SELECT token FROM {SCHEMA}.work_lock WHERE work = %s"

_HELD: ContextVar[Mapping[str, _Check]] = ContextVar("checks of held work locks", default=MappingProxyType({}))


class BusyError(HoldfastError):
    """Another process does the same work."""


class LockLostError(HoldfastError):
    """The connection that held a lock was lost, so another process may do the same work."""


@contextmanager
def work_lock(settings: Settings, work: str, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock of a work during the block.

    Without a shared database the lock is a file in the data folder, which the kernel releases with the process. With
    a shared database the lock is a session-level advisory lock of PostgreSQL, which the server releases with the
    connection. Each holder gets a higher number (a fencing token), so that :func:`require_lock` detects a later holder.

    Args:
        settings: Settings with the data folder and ``HOLDFAST_DATABASE``.
        work: Name of the work.
        seconds: Time to wait for another process; None: until it ends.

    Yields:
        Nothing.

    Raises:
        BusyError: Another process holds the lock.
        DatabaseUnavailableError: The shared database does not respond.
    """
    hold = _hold_in_database if settings.database else _hold_file
    with hold(settings, require_path_name(work, "name of a lock"), seconds) as check:
        outer = _HELD.set({**_HELD.get(), work: check})
        try:
            yield
        finally:
            _HELD.reset(outer)


def require_lock(work: str) -> None:
    """Check just before a change that this context has not lost a lock; a context without that lock passes.

    Args:
        work: Name of the work.

    Raises:
        LockLostError: The lock was lost.
    """
    if check := _HELD.get().get(work):
        check()


@contextmanager
def _hold_file(settings: Settings, work: str, seconds: float | None) -> Iterator[_Check]:
    folder = settings.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{work}.lock", timeout=-1 if seconds is None else seconds)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"Another {work} is running in {settings.data}. Wait until it has ended.") from None
    try:
        yield lambda: None
    finally:
        lock.release()


@contextmanager
def _hold_in_database(settings: Settings, work: str, seconds: float | None) -> Iterator[_Check]:
    connection, token = _lock_in_database(settings, work, seconds)
    try:
        yield lambda: _check_token(connection, work, token)
    finally:
        connection.close()  # releases the lock


def _lock_in_database(settings: Settings, work: str, seconds: float | None) -> "tuple[Connection[Any], int]":
    import psycopg

    address = database_url(settings).set(drivername="postgresql").render_as_string(hide_password=False)
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    try:
        connection = psycopg.connect(
            address,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name=f"holdfast: {work}",
            options=_KEEPALIVE,
        )
    except psycopg.OperationalError as error:
        raise explain_unavailable(settings, error) from None
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (SCHEMA,))
            connection.execute(_TABLE)
        wait = 0 if seconds is None else max(1, round(seconds * 1000))  # in milliseconds; 0 is no limit
        connection.execute(f"SET lock_timeout = {wait}")
        connection.execute(_LOCK, (f"{SCHEMA}/{work}",))
        (token,) = connection.execute(_NEXT_TOKEN, (work, holder)).fetchone() or (0,)
        return connection, token
    except psycopg.errors.LockNotAvailable:
        found = connection.execute(_HOLDER, (work,)).fetchone()
        connection.close()
        by = f" ({found[0]}, since {found[1]:%Y-%m-%d %H:%M} UTC)" if found else ""
        raise BusyError(f"Another {work} is running{by}. Wait until it has ended.") from None
    except psycopg.OperationalError as error:
        connection.close()
        raise explain_unavailable(settings, error) from None
    except BaseException:
        connection.close()
        raise


def _check_token(connection: "Connection[Any]", work: str, token: int) -> None:
    import psycopg

    try:
        row = connection.execute(_TOKEN, (work,)).fetchone()
    except psycopg.OperationalError:
        row = None
    if row != (token,):
        raise LockLostError(
            f"The connection that held the lock of {work} was lost, so another process may have taken over. Nothing "
            "more was changed. Look at the state, then run the command again."
        )
