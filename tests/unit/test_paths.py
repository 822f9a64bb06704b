"""No module reads a path as a pattern, a partition or an address: readers use the modules that take it literally."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("feature_repo", "holdfast", "flows", "services", "deploy", "simulations")
_OWNERS = ("holdfast/core/parquet_files.py", "feature_repo/database_urls.py")
_READERS = {"read_parquet", "read_table", "ParquetDataset", "ParquetFile", "from_parquet", "parquet_scan"}
_IN_MEMORY = {"BytesIO", "BufferReader"}
_TEXTS = ("read_parquet(", "parquet_scan(", "read_csv(", "sqlite://", "sqlite+")
_SOURCES = [path for package in _PACKAGES for path in sorted((_ROOT / package).rglob("*.py"))]


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _find_readers(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _READERS:
            first = node.args[0] if node.args else None
            if not (isinstance(first, ast.Call) and _name(first.func) in _IN_MEMORY):
                yield f"line {node.lineno}: {_name(node.func)} of a path"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if "glob" in {alias.name for alias in node.names} or getattr(node, "module", "") == "glob":
                yield f"line {node.lineno}: glob"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from (f"line {node.lineno}: {text}" for text in _TEXTS if text in node.value)


@pytest.mark.parametrize("path", _SOURCES, ids=lambda path: str(path.relative_to(_ROOT)))
def test_module_reads_paths_literally(path: Path) -> None:
    if str(path.relative_to(_ROOT)) not in _OWNERS:
        assert list(_find_readers(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pandas as pd\npd.read_parquet(path)",
        "pq.read_table(folder / 'x.parquet')",
        "connection.execute('SELECT * FROM read_parquet(?)')",
        "connection.execute(f\"SELECT * FROM read_csv('{path}')\")",
        "from glob import glob",
        "import glob",
        "ibis.read_parquet(path)",
        "url = f'sqlite:///{path}'",
    ],
)
def test_find_readers_of_a_reader_of_a_path_names_it(source: str) -> None:
    assert list(_find_readers(source))


def test_find_readers_of_a_reader_of_bytes_finds_none() -> None:
    assert list(_find_readers("pd.read_parquet(BytesIO(content))\npq.read_table(pa.BufferReader(content))")) == []
