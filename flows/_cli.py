"""Command line of the flows: options from a flow's parameters, expected errors in one line."""

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
import yaml
from prefect import Flow
from prefect.utilities.callables import parameter_docstrings
from pydantic import BaseModel, ValidationError
from rich.console import Console

from holdfast.core.errors import HoldfastError
from holdfast.runtime.cli_errors import exit_on_expected_error


class ServerDownError(HoldfastError):
    """The Prefect server of PREFECT_API_URL does not respond."""


class BadOptionError(HoldfastError):
    """The YAML or JSON of an option does not fit the settings class of the parameter."""


def expected_flow_errors() -> tuple[type[Exception], ...]:
    """Return the errors of a flow that a user can act on; any other error is a defect.

    Returns:
        The error classes.
    """
    from pandera.errors import SchemaErrors  # takes a second, so it is not imported for --help

    return HoldfastError, SchemaErrors, ValidationError, OSError


def run_flow(flow: Flow[..., Any], show: Callable[[Any], object] | None = None) -> None:
    """Run a flow with the options of the command line and print its result.

    The options are the flow's parameters; their help texts are in the flow's docstring. An expected error is one line
    on standard error and exit code 1.

    Args:
        flow: The flow.
        show: Prints the result; its summary, or else rich's representation of the result, when left out.
    """

    def command(**options: Any) -> None:
        for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
            logging.getLogger(name).addFilter(_remove_traceback)
        for handler in logging.getLogger().handlers:  # the console: Prefect's UI has the lines
            handler.addFilter(_is_no_expected_failure)
        with exit_on_expected_error(expected_flow_errors), _explain_unreachable_server():
            result = flow(**{name: _parameter_value(flow, name, value) for name, value in options.items()})
        (show or _print_result)(result)

    docstring = inspect.getdoc(flow.fn) or ""
    texts = parameter_docstrings(docstring)
    parameters = {
        name: _option(parameter, texts.get(name, ""))
        for name, parameter in inspect.signature(flow.fn).parameters.items()
    }
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    command.__doc__ = re.sub(r"(?<!\n)\n(?!\n)", " ", docstring.partition("\nArgs:")[0])  # lines to paragraphs
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()


def _print_result(result: Any) -> None:
    if hasattr(result, "summary"):
        typer.echo(result.summary())
    else:
        Console().print(result)


@contextmanager
def _explain_unreachable_server() -> Iterator[None]:
    """Convert Prefect's RuntimeError for an unreachable server; Prefect has no error class for that case."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("Failed to reach API at"):
            raise
        raise ServerDownError(
            f"{error}: the Prefect server of PREFECT_API_URL does not respond. Start it (`make up`), or "
            "`unset PREFECT_API_URL`: the command then starts a temporary server."
        ) from error


def _settings_class(parameter: inspect.Parameter) -> type[BaseModel] | None:
    """Return the settings class of a parameter, None if the parameter takes none."""
    models = [item for item in get_args(parameter.annotation) if inspect.isclass(item) and issubclass(item, BaseModel)]
    return models[0] if models else None


def _choices(parameter: inspect.Parameter) -> tuple[str, ...]:
    """Return the allowed values of a list of literals, none for other parameters; Typer supports no such lists."""
    lists = [item for item in get_args(parameter.annotation) if get_origin(item) is list]
    names = get_args(lists[0])[0] if lists else None
    return get_args(names) if get_origin(names) is Literal else ()


def _option(parameter: inspect.Parameter, text: str) -> inspect.Parameter:
    """Convert a flow's parameter to an option: settings as YAML, one option per list item, dates without a time."""
    if model := _settings_class(parameter):
        text = f"{text} YAML or JSON, as text or as a file, with any of: {', '.join(model.model_fields)}."
        return parameter.replace(annotation=Annotated[str | None, typer.Option(help=text, metavar="YAML")])
    if parameter.annotation is date:
        return parameter.replace(annotation=Annotated[datetime, typer.Option(help=text, formats=["%Y-%m-%d"])])
    if names := _choices(parameter):
        choice: Any = Enum("Choice", {name: name for name in names})  # type: ignore[misc]  # known at run time only
        text = f"{text} One or more; repeat the option for each."
        return parameter.replace(annotation=Annotated[list[choice] | None, typer.Option(help=text)])
    if get_origin(parameter.annotation) is Annotated:  # the flow declares its own option or argument
        get_args(parameter.annotation)[1].help = text
        return parameter
    if parameter.default is parameter.empty:
        return parameter.replace(annotation=Annotated[parameter.annotation, typer.Argument(help=text)])
    return parameter.replace(annotation=Annotated[parameter.annotation, typer.Option(help=text)])


def _parameter_value(flow: Flow[..., Any], name: str, value: Any) -> Any:
    """Convert the value of an option to the value of the flow's parameter."""
    parameter = inspect.signature(flow.fn).parameters[name]
    if _choices(parameter):
        return [item.value for item in value] if value else None
    if parameter.annotation is date:
        return value.date()
    model = _settings_class(parameter)
    if model is None or value is None:
        return value
    option = f"--{name.replace('_', '-')}"
    try:
        return model.model_validate(_read_mapping(option, value))
    except ValidationError as error:
        problems = [
            ".".join(map(str, item["loc"])) + f" is {item['input']!r}: {item['msg']}" if item["loc"] else item["msg"]
            for item in error.errors()
        ]
        raise BadOptionError(f"{option}: {'; '.join(problems)}.") from error


def _read_mapping(option: str, value: str) -> Any:
    """Read a mapping from YAML, of which JSON is a part; the value is the text, or the path of a file."""
    is_text = not value.strip() or any(part in value for part in ("\n", ": ", "{"))
    if not is_text:
        try:
            value = Path(value).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadOptionError(
                f"{option}: {value!r} is neither a readable file ({error}) nor YAML such as {option} 'name: value'."
            ) from error
    try:
        content = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BadOptionError(f"{option}: the YAML cannot be read: {' '.join(str(error).split())}.") from error
    if content is not None and not isinstance(content, dict):
        raise BadOptionError(f"{option}: {content!r} is no mapping; give YAML such as {option} 'name: value'.")
    return content or {}


def _is_no_expected_failure(record: logging.LogRecord) -> bool:
    """Return False for Prefect's lines of an expected error, which the command prints itself as its last output."""
    if not record.name.startswith(("prefect.flow_runs", "prefect.task_runs")) or record.exc_info:
        return True
    message = record.getMessage()
    return "Retry" in message or not re.search(r"encountered (an )?exception|failed with exception", message, re.I)


def _remove_traceback(record: logging.LogRecord) -> bool:
    """Remove the traceback of an expected error from a log record; usable as a logging filter."""
    if record.exc_info and isinstance(record.exc_info[1], expected_flow_errors()):
        record.exc_info = None
    return True
