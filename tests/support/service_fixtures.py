"""Fixtures of the service tests: a small data folder, and the service in this process."""

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_repo.settings import NO_TELEMETRY, Settings
from holdfast.models.registry_client import FAIL_FAST_ENV
from tests.support.bentoml_internals import create_asgi_app, model_store
from tests.support.service_state import AS_OF

ROOT = Path(__file__).resolve().parents[2]
Serve = Callable[..., AbstractContextManager[TestClient]]
_PATHS = re.compile(r"(?<!\w)/(work|home|tmp|usr|root|var|opt|etc|private|Users)\b|site-packages|\.py\b")
_INTERNALS = re.compile(r"python -m|flows\.|HOLDFAST_|BENTOML|bentoml|[Ff]east|MLflow|mlflow|skops")


@pytest.fixture(scope="session")
def service_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with registry, online store and one saved model; tests must not change it."""
    folder = tmp_path_factory.mktemp("service_data") / "data"
    inherited = {name: value for name, value in os.environ.items() if not _is_state(name)}
    built = subprocess.run(
        [sys.executable, "-m", "tests.support.service_state"],
        env=inherited | NO_TELEMETRY | {"HOLDFAST_DATA": str(folder), "BENTOML_HOME": str(folder / "bentoml")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


@pytest.fixture
def service_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.LogCaptureFixture]:
    """The log of the service."""
    logger = logging.getLogger("bentoml.holdfast")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def service_data_copy(service_data: Path, tmp_path: Path) -> Path:
    """A copy of ``service_data`` that a test may change."""
    return Path(shutil.copytree(service_data, tmp_path / "data", ignore=shutil.ignore_patterns("predictions")))


@contextmanager
def service_environment(data: Path, **variables: str) -> Iterator[Settings]:
    """Set the settings of this process: data folder, clock at ``AS_OF``, and ``variables``."""
    with pytest.MonkeyPatch.context() as patch, model_store(data / "bentoml" / "models"):
        for name in [name for name in os.environ if _is_state(name)]:
            patch.delenv(name)
        patch.setenv("HOLDFAST_DATA", str(data))
        patch.setenv("HOLDFAST_CLOCK", AS_OF.isoformat())
        for name, value in (
            FAIL_FAST_ENV | {"HOLDFAST_KEYLESS": "loopback"} | variables
        ).items():  # a service sets the first itself
            patch.setenv(name, value)
        yield Settings()


@contextmanager
def serve_in_process(data: Path, **variables: str) -> Iterator[TestClient]:
    """Serve within this process; yields a client of the started ASGI application."""
    with service_environment(data, **variables):
        address = ("127.0.0.1", 50_000)
        app = create_asgi_app()
        with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False, client=address) as client:
            yield client


@pytest.fixture(scope="package")  # it sets the settings of this process
def client(service_data: Path) -> Iterator[TestClient]:
    """A client of the service on ``service_data`` at ``AS_OF``."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(serve_in_process(service_data))


def assert_error(response: Any, status: int, *fragments: str) -> str:
    """Check problem details without paths, commands, variables and tools of the machine; returns the detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert list(body) == ["type", "title", "status", "detail", "request_id"]
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    for fragment in fragments:
        assert fragment in body["detail"], body["detail"]
    assert_clean(response.text)
    assert not _INTERNALS.search(response.text), response.text
    return str(body["detail"])


def assert_clean(text: str) -> None:
    """Check that a text has no traceback and no path."""
    assert "Traceback" not in text
    assert not _PATHS.search(text), text


def _is_state(name: str) -> bool:
    return name.startswith(("HOLDFAST_", "FEAST_", "BENTOML_HOME", "MLFLOW_TRACKING_URI"))
