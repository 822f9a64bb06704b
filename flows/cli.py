"""One command line for every flow: its parameters become options, its expected errors one line."""

import inspect
import logging
from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer
from pandera.errors import SchemaErrors
from prefect import Flow
from pydantic import BaseModel, ValidationError
from rich.console import Console

from feature_repo.errors import HoldfastError
from flows.error_line import errors_in_one_line

# What a person can act on; anything else is a defect and keeps its traceback.
EXPECTED_ERRORS = (HoldfastError, SchemaErrors, ValidationError, OSError)


def run_flow(flow: Flow[..., Any], show: Callable[[Any], object] | None = None) -> None:
    """Run ``flow`` with the options of the command line and ``show`` its result.

    The options are the flow's parameters and their help its docstring. An expected error is one line on
    standard error and exit code 1.
    """

    def command(**options: Any) -> None:
        for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
            logging.getLogger(name).addFilter(_without_traceback)
        with errors_in_one_line(EXPECTED_ERRORS):
            result = flow(**{name: _value(flow, name, given) for name, given in options.items()})
        (show or Console().print)(result)

    parameters = {name: _option(parameter) for name, parameter in inspect.signature(flow.fn).parameters.items()}
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    command.__doc__ = flow.fn.__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()


def _model(parameter: inspect.Parameter) -> type[BaseModel] | None:
    """The settings model that a parameter takes, if it takes one."""
    models = [item for item in get_args(parameter.annotation) if inspect.isclass(item) and issubclass(item, BaseModel)]
    return models[0] if models else None


def _option(parameter: inspect.Parameter) -> inspect.Parameter:
    """Settings come as JSON; everything else as it is."""
    if model := _model(parameter):
        about = f"JSON with any of: {', '.join(model.model_fields)}."
        return parameter.replace(annotation=Annotated[str | None, typer.Option(help=about, metavar="JSON")])
    return parameter


def _value(flow: Flow[..., Any], name: str, given: Any) -> Any:
    model = _model(inspect.signature(flow.fn).parameters[name])
    return model.model_validate_json(given) if model and given is not None else given


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], EXPECTED_ERRORS):
        record.exc_info = None
    return True
