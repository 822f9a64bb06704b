"""Importing the project changes neither the environment nor the file system."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.main_job import ROOT, environment_of

# The only modules that call something for its effect while they are imported, and why.
_EXCEPTIONS = {
    "flows/__init__.py": "`python -m flows.NAME`: Prefect reads the environment while the flow's module imports it",
    "services/churn.py": "entry point that BentoML imports: it reads the environment while it is imported",
    "benchmarks/serving/noop_tuned_service.py": "entry point that BentoML imports",
    "holdfast/feast_stores/_feast_imports.py": "warning filters: `feast apply` opens the store without `open_store`",
    "holdfast/__init__.py": "Feast is imported without run-time type checks, whichever module imports it first",
    "holdfast/feast_stores/stored_functions.py": "Feast executes no source of a registry that was not compared",
    "holdfast/training/hyperparameter_search.py": "levels of the loggers of Optuna and Alembic",
}
_PACKAGES = ("benchmarks", "deploy", "feature_repo", "flows", "holdfast", "services", "simulations")

# Only effects of the project's own code count, not those of third-party libraries; services.churn is left out.
_IMPORT_AND_WATCH = """
import importlib, os, pkgutil, sys, sysconfig

stdlib = os.path.realpath(sysconfig.get_paths()["stdlib"])
project = os.path.realpath(sys.argv[1]) + os.sep
effects = []

def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event not in ("os.putenv", "os.unsetenv", "os.mkdir", "os.rename", "os.remove") and not writes:
        return
    frame = sys._getframe(1)
    while frame:
        name = os.path.realpath(frame.f_code.co_filename)
        if not frame.f_code.co_filename.startswith("<") and (not name.startswith(stdlib) or "site-packages" in name):
            if name.startswith(project) and "site-packages" not in name:
                effects.append(f"{name}:{frame.f_lineno}: {event} {arguments[0]}")
            return
        frame = frame.f_back

sys.addaudithook(watch)
for package in sys.argv[2:]:
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not module.name.endswith("__main__") and module.name != "services.churn":
            importlib.import_module(module.name)
print("\\n".join(effects))
"""


def _calls_at_import(statements: list[ast.stmt]) -> Iterator[str]:
    """List the calls whose result is not used; a block of `if __name__ == "__main__"` does not run at import."""
    for statement in statements:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield ast.unparse(statement)
        elif isinstance(statement, ast.If) and "__name__" not in ast.unparse(statement.test):
            yield from _calls_at_import(statement.body + statement.orelse)
        elif isinstance(statement, ast.With | ast.For | ast.While):
            yield from _calls_at_import(statement.body)
        elif isinstance(statement, ast.Try):
            yield from _calls_at_import(statement.body + statement.orelse + statement.finalbody)


def test_modules_call_nothing_for_its_effect_at_import() -> None:
    found = {}
    for file in (file for package in _PACKAGES for file in (ROOT / package).rglob("*.py")):
        if file.name != "__main__.py" and (calls := list(_calls_at_import(ast.parse(file.read_text()).body))):
            found[file.relative_to(ROOT).as_posix()] = calls
    assert found.keys() == _EXCEPTIONS.keys(), found


@pytest.mark.parametrize("package", ["flows", "holdfast", "services"])
@pytest.mark.long
def test_package_import_has_no_side_effects(package: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    environment = environment_of(data) | {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    (tmp_path / "home").mkdir()
    (tmp_path / "cwd").mkdir()
    command = [sys.executable, "-c", _IMPORT_AND_WATCH, str(ROOT), package]
    done = subprocess.run(
        command, cwd=tmp_path / "cwd", env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
    assert not data.exists()
    assert not list((tmp_path / "cwd").iterdir())


def test_flow_command_configures_prefect_before_its_import(tmp_path: Path) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    home.mkdir()
    environment = environment_of(data) | {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "flows.alerts", "--help"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (data / "prefect").is_dir()
    assert not (home / ".prefect").exists()
