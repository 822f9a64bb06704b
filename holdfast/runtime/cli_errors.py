"""Error handling of command-line programs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from holdfast.core.errors import HoldfastError

EXPECTED_ERRORS = (HoldfastError, ValidationError, MlflowException, OSError)


@contextmanager
def exit_on_expected_error(expected: tuple[type[Exception], ...]) -> Iterator[None]:
    """Print an expected error of the block as one line on standard error and exit with code 1.

    Args:
        expected: Errors that the user can act on; any other error keeps its traceback.

    Yields:
        Nothing.
    """
    try:
        yield
    except expected as error:
        Console(stderr=True).print(
            f"[red]{type(error).__name__}:[/red] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(1)
