"""One small service_data for all tests of serving, and ways to serve it: in this process, and as a user would."""

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
from tests.support.service_state import AS_OF

ROOT = Path(__file__).resolve().parents[2]
Serve = Callable[..., AbstractContextManager[TestClient]]
_PATHS = re.compile(r"(?<!\w)/(work|home|tmp|usr|root|var|opt|etc|private|Users)\b|site-packages|\.py\b")
_INTERNALS = re.compile(r"python -m|flows\.|HOLDFAST_|BENTOML|bentoml|[Ff]east|MLflow|mlflow|skops")


@pytest.fixture(scope="session")
def service_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with registry, online store and one saved model; read only."""
    folder = tmp_path_factory.mktemp("service_data") / "data"
    keep = {name: value for name, value in os.environ.items() if not _is_state(name)}
    built = subprocess.run(
        [sys.executable, "-m", "tests.support.service_state"],
        env=keep | NO_TELEMETRY | {"HOLDFAST_DATA": str(folder), "BENTOML_HOME": str(folder / "bentoml")},
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
    """What the service says to who runs it."""
    logger = logging.getLogger("bentoml.holdfast")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def service_data_copy(service_data: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(service_data, tmp_path / "data", ignore=shutil.ignore_patterns("predictions")))


@contextmanager
def service_environment(data: Path, **variables: str) -> Iterator[Settings]:
    """This process at work on ``data``, at ``AS_OF`` unless told otherwise."""
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.models import ModelStore

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if _is_state(name)]:
            patch.delenv(name)
        patch.setenv("HOLDFAST_DATA", str(data))
        patch.setenv("HOLDFAST_CLOCK", AS_OF.isoformat())
        for name, value in (FAIL_FAST_ENV | variables).items():  # a service sets the first itself, for good
            patch.setenv(name, value)
        store = ModelStore(data / "bentoml" / "models")
        BentoMLContainer.model_store.set(store)
        try:
            yield Settings()
        finally:
            BentoMLContainer.model_store.reset()


@contextmanager
def serve_in_process(data: Path, **variables: str) -> Iterator[TestClient]:
    """The service's ASGI application in this process, started."""
    from _bentoml_impl.server.app import ServiceAppFactory

    from services.churn import ChurnService

    with service_environment(data, **variables):
        # As ChurnService.to_asgi(), but without metrics: a process can register each of BentoML's only once.
        ChurnService.inject_config()
        app = ServiceAppFactory(ChurnService, is_main=True, enable_metrics=False)()
        here = ("127.0.0.1", 50_000)
        with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False, client=here) as client:
            yield client


@pytest.fixture(scope="package")  # not for longer: meanwhile this process works on that service_data, at its time
def client(service_data: Path) -> Iterator[TestClient]:
    """The service on the shared service_data; "now" is ``AS_OF``."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(serve_in_process(service_data))


def assert_error(response: Any, status: int, *fragments: str) -> str:
    """Problem details, one sentence, nothing of the machine, its commands, variables and tools; returns that one."""
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
    """No traceback and no path."""
    assert "Traceback" not in text
    assert not _PATHS.search(text), text


def _is_state(name: str) -> bool:
    return name.startswith(("HOLDFAST_", "FEAST_", "BENTOML_HOME", "MLFLOW_TRACKING_URI"))
