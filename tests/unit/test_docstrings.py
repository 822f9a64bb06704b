"""Docstrings of public functions name every parameter and the return value (Google style)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.main_job import ROOT
from tests.support.source_files import sources

# A Prefect task is called by its own flow only.
_EXEMPT_DECORATORS = {"property", "cached_property", "overload", "setter", "override", "task"}
_WEAK_STARTS = re.compile(r"(what|whether|who\w*|that|it|its|they|them|those|these|where|when|how)\b", re.I)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _decorators(function: _Function) -> set[str]:
    names = (item.func if isinstance(item, ast.Call) else item for item in function.decorator_list)
    return {item.attr if isinstance(item, ast.Attribute) else getattr(item, "id", "") for item in names}


def public_functions(tree: ast.Module) -> Iterator[tuple[str, _Function]]:
    """Yield the public functions and methods of a module with their names."""
    for node in tree.body:
        if isinstance(node, _Function) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, _Function) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}", method


def problems(function: _Function) -> Iterator[str]:
    """Yield what the docstring of a function lacks."""
    text = ast.get_docstring(function) or ""
    decorators = _decorators(function)
    if decorators & _EXEMPT_DECORATORS or function.name == "main":
        return
    sections = re.split(r"^(Args|Returns|Yields|Raises):$", text, flags=re.M)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    parameters += [item for item in (arguments.vararg, arguments.kwarg) if item]
    for parameter in parameters:
        name, annotation = parameter.arg, ast.unparse(parameter.annotation) if parameter.annotation else ""
        described = re.search(rf"^ {{4}}\*{{0,2}}{name}(?: \([^)]*\))?: \S", found.get("Args", ""), re.M)
        # Typer shows the help of an option; a shared option is an alias of holdfast/cli/options.py.
        is_option = "typer." in annotation or annotation.endswith("Option")
        if name not in ("self", "cls") and not name.startswith("_") and not described and not is_option:
            yield f"no Args entry for {name}"
    returns = ast.unparse(function.returns) if function.returns else "None"
    # The UI shows the docstring of a flow as a form.
    if "flow" in decorators or returns in ("None", "NoReturn", "Never"):
        return
    if not found.keys() & {"Returns", "Yields"}:
        yield "no Returns or Yields"


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(ROOT)))
def test_public_functions_describe_parameters_and_return_value(file: Path) -> None:
    tree = ast.parse(file.read_text())
    found = {name: list(problems(function)) for name, function in public_functions(tree)}
    assert {name: lacks for name, lacks in found.items() if lacks} == {}


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(ROOT)))
def test_docstrings_start_with_a_verb_or_a_noun(file: Path) -> None:
    nodes = (
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    )
    texts = [(getattr(node, "name", "module"), ast.get_docstring(node) or "") for node in nodes]
    assert [name for name, text in texts if _WEAK_STARTS.match(text)] == []
