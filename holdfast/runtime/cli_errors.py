"""What a person can act on is told in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from holdfast.core.errors import HoldfastError


@contextmanager
def exit_on_expected_error(expected: tuple[type[Exception], ...]) -> Iterator[None]:
    """An expected error inside is one line on standard error and exit code 1; any other keeps its traceback."""
    try:
        yield
    except expected as error:
        Console(stderr=True).print(
            f"[red]{type(error).__name__}:[/red] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(1)


EXPECTED_ERRORS = (HoldfastError, ValidationError, MlflowException, OSError)
