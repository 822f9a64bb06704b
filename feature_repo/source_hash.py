"""Hashes of source code that ignore comments, docstrings, decorators and layout."""

import ast
import hashlib
from functools import lru_cache


def sha256(text: str) -> str:
    """Compute the SHA-256 of a text.

    Args:
        text: Any text; it is encoded as UTF-8.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=256)  # each evaluation records the code of all gates
def strip_formatting(source: str) -> str:
    """Remove comments, docstrings, decorators and layout from source code.

    Args:
        source: Python source.

    Returns:
        Equivalent source, as ``ast.unparse`` prints it.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return ast.unparse(tree)
