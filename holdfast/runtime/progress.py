"""Progress messages of long steps: in the terminal's status line, otherwise in the log of the flow run."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect import get_run_logger
from rich.markup import escape
from rich.status import Status

_STATUS: ContextVar[tuple[Status, str] | None] = ContextVar("status", default=None)


@contextmanager
def show_progress_in(status: Status, stage: str) -> Iterator[None]:
    """Show progress messages of the block in a status line.

    Args:
        status: Status line of the terminal.
        stage: Name of the stage, shown before each message.

    Yields:
        Nothing.
    """
    token = _STATUS.set((status, stage))
    try:
        yield
    finally:
        _STATUS.reset(token)


def report_progress(message: str) -> None:
    """Show or log a progress message.

    Args:
        message: Current activity.
    """
    if current := _STATUS.get():
        status, stage = current
        status.update(f"{stage}: {escape(message)}")
    else:
        get_run_logger().info(message)
