"""What a long step is doing, wherever somebody is looking: the terminal's status line, else the flow run's log."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect import get_run_logger
from rich.markup import escape
from rich.status import Status

_STATUS: ContextVar[tuple[Status, str] | None] = ContextVar("status", default=None)


@contextmanager
def show_progress_in(status: Status, stage: str) -> Iterator[None]:
    """Let ``say`` write to this status line, after the name of the stage."""
    token = _STATUS.set((status, stage))
    try:
        yield
    finally:
        _STATUS.reset(token)


def report_progress(doing: str) -> None:
    """Tell what is going on now."""
    if shown := _STATUS.get():
        status, stage = shown
        status.update(f"{stage}: {escape(doing)}")
    else:
        get_run_logger().info(doing)
