"""A command that is no flow: its expected errors are one line."""

import sys
from collections.abc import Callable

import typer
from mlflow.exceptions import MlflowException
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from feature_repo.errors import HoldfastError

EXPECTED_ERRORS = (HoldfastError, ValidationError, MlflowException, OSError)


def run_command(command: Callable[..., None]) -> None:
    """Run ``command`` with the options of the command line; an expected error is exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except EXPECTED_ERRORS as error:
        Console(stderr=True).print(
            f"[red]{type(error).__name__}:[/red] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(1)
