"""A hash of what source code does: comments, docstrings, decorators and layout do not count."""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def sha256(text: str) -> str:
    """SHA-256 of ``text``, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def module_source(name: str) -> str:
    """The normalised source of a module of this folder, without importing it."""
    return strip_formatting((_FOLDER / f"{name}.py").read_text())


@lru_cache(maxsize=256)  # each judgement names the code of all that judges
def strip_formatting(source: str) -> str:
    """``source`` without comments, docstrings and decorators, in one layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return ast.unparse(tree)


def transformations_version() -> str:
    """Twelve hex digits that name the transformations as they stand: the folder of the snapshots they build."""
    return sha256(module_source("transformations"))[:12]
