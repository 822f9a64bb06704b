"""One command line for every flow: its parameters become options, its expected errors one line."""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pandera.errors import SchemaErrors
from prefect import Flow
from pydantic import BaseModel, ValidationError
from rich.console import Console

from holdfast.core.errors import HoldfastError
from holdfast.runtime.cli_errors import exit_on_expected_error

# What a person can act on; anything else is a defect and keeps its traceback.
EXPECTED_ERRORS = (HoldfastError, SchemaErrors, ValidationError, OSError)


class ServerDownError(HoldfastError):
    """The Prefect server of the environment does not answer."""


class BadOptionError(HoldfastError):
    """An option's JSON is not what its settings take."""


def run_flow(flow: Flow[..., Any], show: Callable[[Any], object] | None = None) -> None:
    """Run ``flow`` with the options of the command line and ``show`` its result.

    The options are the flow's parameters and their help its docstring. An expected error is one line on
    standard error and exit code 1.
    """

    def command(**options: Any) -> None:
        for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
            logging.getLogger(name).addFilter(_without_traceback)
        with exit_on_expected_error(EXPECTED_ERRORS), _server_answers():
            result = flow(**{name: _value(flow, name, given) for name, given in options.items()})
        (show or Console().print)(result)

    parameters = {name: _option(parameter) for name, parameter in inspect.signature(flow.fn).parameters.items()}
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    command.__doc__ = flow.fn.__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()


@contextmanager
def _server_answers() -> Iterator[None]:
    """Prefect has no error of its own for a server that is not there."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("Failed to reach API at"):
            raise
        raise ServerDownError(
            f"{error}: PREFECT_API_URL names a Prefect server that does not answer. Start it (`make up`), or "
            "`unset PREFECT_API_URL`: the command then brings a server of its own."
        ) from error


def _model(parameter: inspect.Parameter) -> type[BaseModel] | None:
    """The settings model that a parameter takes, if it takes one."""
    models = [item for item in get_args(parameter.annotation) if inspect.isclass(item) and issubclass(item, BaseModel)]
    return models[0] if models else None


def _choices(parameter: inspect.Parameter) -> tuple[str, ...]:
    """What a list of names may hold, if that is what the parameter takes; Typer has no such lists of its own."""
    lists = [item for item in get_args(parameter.annotation) if get_origin(item) is list]
    names = get_args(lists[0])[0] if lists else None
    return get_args(names) if get_origin(names) is Literal else ()


def _option(parameter: inspect.Parameter) -> inspect.Parameter:
    """Settings come as JSON; lists by an option for each item; days without a time; everything else as it is."""
    if model := _model(parameter):
        about = f"JSON with any of: {', '.join(model.model_fields)}."
        return parameter.replace(annotation=Annotated[str | None, typer.Option(help=about, metavar="JSON")])
    if parameter.annotation is date:
        return parameter.replace(annotation=Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])])
    if names := _choices(parameter):
        choice: Any = Enum("Choice", {name: name for name in names})  # type: ignore[misc]  # known at run time only
        about = "One or more; give the option again for another."
        return parameter.replace(annotation=Annotated[list[choice] | None, typer.Option(help=about)])
    return parameter


def _value(flow: Flow[..., Any], name: str, given: Any) -> Any:
    parameter = inspect.signature(flow.fn).parameters[name]
    if _choices(parameter):
        return [item.value for item in given] if given else None
    if parameter.annotation is date:
        return given.date()
    model = _model(parameter)
    if model is None or given is None:
        return given
    try:
        return model.model_validate_json(given)
    except ValidationError as error:
        wrong = [
            ".".join(map(str, item["loc"])) + f" is {item['input']!r}: {item['msg']}" if item["loc"] else item["msg"]
            for item in error.errors()
        ]
        raise BadOptionError(f"--{name.replace('_', '-')}: {'; '.join(wrong)}.") from error


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], EXPECTED_ERRORS):
        record.exc_info = None
    return True
