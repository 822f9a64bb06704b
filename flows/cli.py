"""One command line for every flow: its parameters become options, its expected errors one line."""

import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any

import typer
from prefect import Flow
from rich.console import Console
from rich.markup import escape

# What a person can act on; anything else is a defect and keeps its traceback.
EXPECTED_ERRORS = (ValueError, AssertionError, OSError)


def run_flow(flow: Flow[..., Any], show: Callable[[Any], object] | None = None) -> None:
    """Run ``flow`` with the options of the command line and ``show`` its result.

    The options are the flow's parameters and their help its docstring. An expected error is one line on
    standard error and exit code 1.
    """

    def command(**options: Any) -> None:
        for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
            logging.getLogger(name).addFilter(_without_traceback)
        try:
            result = flow(**options)
        except EXPECTED_ERRORS as error:
            Console(stderr=True).print(
                f"[red]{type(error).__name__}:[/red] {escape(str(error))}", highlight=False, soft_wrap=True
            )
            sys.exit(1)
        (show or Console().print)(result)

    command.__signature__ = inspect.signature(flow.fn)  # type: ignore[attr-defined]
    command.__annotations__ = {name: p.annotation for name, p in inspect.signature(flow.fn).parameters.items()}
    command.__doc__ = flow.fn.__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], EXPECTED_ERRORS):
        record.exc_info = None
    return True
