"""The proof that a bento serves: started as a user would start it, and asked over HTTP."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import HOST, ProcessNotReadyError, free_port, health_problem, log_tail, managed_process


class SmokeTestError(HoldfastError):
    """The bento did not come up, or did not answer with a prediction."""


@dataclass(frozen=True)
class SmokeTestResult:
    """What the live service said."""

    prediction: dict[str, Any]
    seconds_to_ready: float


@dataclass(frozen=True)
class ServedBento:
    """A served bento."""

    url: str
    log: Path
    seconds_to_ready: float


def run_smoke_test(
    bento_tag: str, settings: Settings, customer_id: str, as_of: datetime | None, port: int | None = None
) -> SmokeTestResult:
    """Serve the bento, ask for one prediction over HTTP, and end the service whatever happens.

    Raises:
        LiveCheckError: It did not become ready or did not answer with 200; holds the last lines of its log.
    """
    request = {"customer_id": customer_id} | ({"as_of": as_of.isoformat()} if as_of else {})
    with serve_bento(bento_tag, settings, port) as service:
        answer = httpx.post(f"{service.url}/predict", json=request, timeout=30)
        if answer.status_code != 200:
            raise SmokeTestError(f"{bento_tag} answered {answer.status_code}: {answer.text}\n{log_tail(service.log)}")
        return SmokeTestResult(answer.json(), service.seconds_to_ready)


@contextmanager
def serve_bento(
    bento_tag: str, settings: Settings, port: int | None = None, ready_within: float = 120
) -> Iterator[ServedBento]:
    """`bentoml serve` of the bento on the loopback interface, ready; it ends with the block, or with this process.

    Raises:
        LiveCheckError: It ended or was not ready in ``ready_within`` seconds; holds the last lines of its log.
    """
    port = port or free_port()
    log = settings.data / "logs" / f"serve-{bento_tag.replace(':', '-')}-{port}.log"
    command = [sys.executable, "-m", "bentoml", "serve", bento_tag, "--host", HOST, "--port", str(port)]
    start, url = time.monotonic(), f"http://{HOST}:{port}"
    log.unlink(missing_ok=True)
    with managed_process(bento_tag, command, os.environ | settings.environment(), log) as server:
        try:
            server.wait_until_ready(lambda: health_problem(f"{url}/readyz"), ready_within)
        except ProcessNotReadyError as error:
            raise SmokeTestError(str(error)) from None
        yield ServedBento(url, log, time.monotonic() - start)
