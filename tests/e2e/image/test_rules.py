"""Tests of the content policy, the pip settings and the choice of the engine, without an engine."""

import os
import platform
import tarfile
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from feature_repo.settings import Settings
from holdfast.container_image.build import _containerize
from holdfast.container_image.content_policy import check_contents
from holdfast.container_image.engine import ContainerEngine, ContainerEngineError, find_engine
from holdfast.container_image.pip_settings import _parse_pip_settings
from tests.support import debian_engine
from tests.support.containers import HARDENED
from tests.support.image_test_run import main
from tests.support.main_job import ROOT

_BENTO = "home/bentoml/bento"
_PACKAGES = "app/.venv/lib/python3.11/site-packages"


def _file(name: str, uid: int = 0, mode: int = 0o644) -> tarfile.TarInfo:
    file = tarfile.TarInfo(name)
    file.uid, file.mode, file.size = uid, mode, 2_000_000
    return file


@pytest.mark.parametrize(
    "path",
    [
        "usr/local/bin/python3.11",
        "usr/bin/bash",
        "etc/passwd",
        "var/lib/dpkg/status",
        "usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "app/.venv/bin/bentoml",
        f"{_PACKAGES}/numpy/__init__.py",
        f"{_PACKAGES}/pip_requirements_parser.py",
        f"{_PACKAGES}/pandas/pyproject.toml",
        f"{_BENTO}/bento.yaml",
        f"{_BENTO}/src/services/__pycache__/churn.cpython-311.pyc",
        f"{_BENTO}/src/services/churn.py",
        f"{_BENTO}/src/feature_repo/feature_store.yaml",
        f"{_BENTO}/src/feature_repo/feature_store.redis.yaml",
        f"{_BENTO}/models/holdfast-churn/v1-fb0e8a0d/model.skops",
        "./usr/bin/env",
    ],
)
def test_check_contents_allowed_file_is_no_problem(path: str) -> None:
    assert check_contents([_file(path)]).problems == []


@pytest.mark.parametrize(
    "path",
    [
        # tools
        "usr/bin/gcc",
        "usr/bin/x86_64-linux-gnu-gcc-12",
        "usr/bin/g++",
        "usr/bin/cc",
        "usr/bin/ld",
        "usr/bin/make",
        "usr/bin/git",
        "usr/bin/curl",
        "usr/local/bin/uv",
        "usr/local/bin/pip3.11",
        "app/.venv/bin/pip",
        "app/.venv/bin/mypy",
        # packages
        "usr/local/lib/python3.11/site-packages/pip/__init__.py",
        "usr/local/lib/python3.11/ensurepip/_bundled/pip-24.0-py3-none-any.whl",
        "usr/lib/python3/dist-packages/setuptools-66.1.1.egg-info/PKG-INFO",
        f"{_PACKAGES}/pip-24.0.dist-info/METADATA",
        f"{_PACKAGES}/uv/__init__.py",
        f"{_PACKAGES}/pytest/__init__.py",
        # lists and caches
        "var/lib/apt/lists/mirror_dists_bookworm_InRelease",
        "var/cache/apt/pkgcache.bin",
        "root/.cache/pip/http/a",
        "usr/share/python-wheels/pip-23.0.1-py3-none-any.whl",
        # of this project
        f"{_BENTO}/src/flows/train.py",
        f"{_BENTO}/src/tests/conftest.py",
        f"{_BENTO}/src/services/tests/test_a.py",
        f"{_BENTO}/src/bentofile.yaml",
        f"{_BENTO}/src/services/notes.txt",
        f"{_BENTO}/src/feature_repo/data/registry.db",
        f"{_BENTO}/models/holdfast-churn/v1-fb0e8a0d/training.parquet",
        f"{_BENTO}/data/feast/online_store.db",
        f"{_PACKAGES}/flows/train.py",
        f"{_PACKAGES}/tests/test_a.py",
        "app/train.py",
        "data/feast/registry.db",
        "data/predictions/day=2026-01-01/a.arrow",
        "opt/holdfast/flows/train.py",
        "build/requirements.txt",
        # data
        f"{_PACKAGES}/sklearn/datasets/data/iris.csv",
        f"{_PACKAGES}/sklearn/datasets/data/digits.csv.gz",
        f"{_PACKAGES}/lifetimes/customers.parquet",
        "usr/share/export.xlsx",
        # secrets
        f"{_BENTO}/src/.env",
        "usr/share/.env.production",
        "etc/pip.conf",
        "root/.netrc",
        "run/secrets/ca.crt",
    ],
)
def test_check_contents_forbidden_file_is_a_problem(path: str) -> None:
    problems = check_contents([_file("usr/bin/env"), _file(path)]).problems
    assert problems and all(path in problem for problem in problems)


@pytest.mark.parametrize(("uid", "mode"), [(1034, 0o644), (0, 0o666), (0, 0o664), (0, 0o4755)])
def test_check_contents_file_writable_by_the_service_is_a_problem(uid: int, mode: int) -> None:
    for path in (f"{_BENTO}/src/services/churn.py", f"{_PACKAGES}/numpy/__init__.py"):
        assert len(check_contents([_file(path, uid, mode)]).problems) == 1


def test_check_contents_reports_size_by_folder() -> None:
    found = check_contents([_file("usr/bin/env"), _file("usr/bin/bash"), _file(f"{_BENTO}/bento.yaml")])
    assert found.megabytes == {"usr": 4.0, "home": 2.0}


def test_parse_pip_settings_returns_index_and_certificate(tmp_path: Path) -> None:
    certificates = tmp_path / "ca.crt"
    certificates.write_text("a certificate")
    listed = f"""
:env:.index-url='https://environment.example/simple'
:env:.find-links='/opt/wheels'
global.index-url='https://file.example/simple'
global.extra-index-url='file:///opt/simple https://more.example/simple'
global.cert='{certificates}'
install.trusted-host='file.example'
install.no-binary=':all:'
"""
    assert _parse_pip_settings(listed, {}) == {
        "index-url": "https://environment.example/simple",
        "extra-index-url": "https://more.example/simple",
        "trusted-host": "file.example",
        "cert": str(certificates),
    }


def test_parse_pip_settings_without_settings_is_empty(tmp_path: Path) -> None:
    assert _parse_pip_settings("", {}) == {}
    assert _parse_pip_settings("global.extra-index-url='file:///opt/simple'\n", {}) == {}
    assert _parse_pip_settings("", {"SSL_CERT_FILE": str(tmp_path / "removed.crt")}) == {}


def test_find_engine_without_engine_raises_with_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ContainerEngineError, match="Install Docker or podman"):
        find_engine()


def test_find_engine_returns_the_first_running_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, status in (("docker", 1), ("podman", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\necho output; exit {status}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_engine() == ContainerEngine("podman")
    assert ContainerEngine("podman").run("ps") == "output\n"
    with pytest.raises(ContainerEngineError, match="docker"):
        find_engine("docker")
    with pytest.raises(ContainerEngineError, match="docker ps ended with status 1: output"):
        ContainerEngine("docker").run("ps")


def test_containerize_runs_no_module_of_the_shared_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every user of the machine can write files there, such as a module that Python would import first."""
    shared, private = tmp_path / "shared", tmp_path / "private"
    for folder in (shared, private):
        folder.mkdir()
    for name in ("bentoml", "json", "click"):
        (shared / f"{name}.py").write_text("import sys; sys.exit('code of another user')")
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    monkeypatch.setenv("TMPDIR", str(shared))
    bento = SimpleNamespace(tag="holdfast:missing")
    with pytest.raises(ContainerEngineError):
        _containerize(ContainerEngine("docker"), Settings(), cast(Any, bento), "holdfast:1", [], private)
    assert "code of another user" not in capfd.readouterr().err


def test_container_document_names_every_tested_option() -> None:
    text = (ROOT / "docs/container.md").read_text().replace("=", " ")
    for option in HARDENED:
        assert option.replace("=", " ") in text, option


def test_main_without_engine_prints_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # neither docker nor apt-get
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("SKIPPED make test-image: no Docker daemon is running, and ")


def test_installation_problem_names_the_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    debian_12 = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "fedora"})
    assert "Debian" in str(debian_engine.installation_problem())
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: debian_12)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in str(debian_engine.installation_problem())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get" in str(debian_engine.installation_problem())
    (tmp_path / "apt-get").touch(mode=0o755)
    assert debian_engine.installation_problem() is None
