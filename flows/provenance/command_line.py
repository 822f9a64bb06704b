"""A command that is no flow: its expected errors are one line."""

from collections.abc import Callable

import typer
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from holdfast.core.errors import HoldfastError
from holdfast.runtime.cli_errors import errors_in_one_line

EXPECTED_ERRORS = (HoldfastError, ValidationError, MlflowException, OSError)


def run_command(command: Callable[..., None]) -> None:
    """Run ``command`` with the options of the command line; an expected error is exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    with errors_in_one_line(EXPECTED_ERRORS):
        app()
