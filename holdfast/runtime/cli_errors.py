"""Error handling of command-line programs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from feature_repo.log_records import escape_controls
from holdfast.core.errors import HoldfastError


def _library_errors() -> tuple[type[Exception], ...]:
    """Return the errors that a user can act on; any other error is a defect."""
    from mlflow.exceptions import MlflowException  # takes seconds, so it is not imported for --help

    return HoldfastError, ValidationError, MlflowException, OSError


@contextmanager
def exit_on_expected_error(expected: Callable[[], tuple[type[Exception], ...]] = _library_errors) -> Iterator[None]:
    """Print an expected error of the block as one line on standard error and exit with code 1.

    Args:
        expected: Returns the classes of expected errors; called after an error only. Other errors keep their traceback.

    Yields:
        Nothing.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, expected()):
            raise
        text = "\n".join(escape_controls(line) for line in str(error).split("\n"))
        Console(stderr=True).print(
            f"[red]{type(error).__name__}:[/red] {escape(text)}", highlight=False, soft_wrap=True
        )
        sys.exit(1)
