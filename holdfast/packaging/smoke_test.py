"""Smoke test of a bento: served by BentoML's command, with one prediction requested over HTTP."""

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
from holdfast.runtime.processes import HOST, ProcessNotReadyError, free_port, health_problem, log_tail, start_process

_READY_SECONDS = 120


class SmokeTestError(HoldfastError):
    """The bento did not become ready, or did not return a prediction."""


@dataclass(frozen=True)
class ServedBento:
    """A served bento.

    Attributes:
        url: Its address.
        log: File with its output.
        seconds_to_ready: Time from the start to the first successful readiness check.
    """

    url: str
    log: Path
    seconds_to_ready: float


def run_smoke_test(bento_tag: str, settings: Settings, customer_id: str, as_of: datetime) -> dict[str, Any]:
    """Serve a bento, request one prediction over HTTP, and terminate the service.

    Args:
        bento_tag: Tag of the bento.
        settings: Data folder.
        customer_id: The customer.
        as_of: Time of the prediction.

    Returns:
        The prediction: the JSON object of the response.

    Raises:
        SmokeTestError: The service did not become ready, or its response was not 200; with the last lines of its log.
    """
    request = {"customer_id": customer_id, "as_of": as_of.isoformat()}
    with serve_bento(bento_tag, settings) as service:
        response = httpx.post(f"{service.url}/predict", json=request, timeout=30)
        if response.status_code != 200:
            raise SmokeTestError(
                f"{bento_tag} responded {response.status_code}: {response.text}\n{log_tail(service.log)}"
            )
        prediction: dict[str, Any] = response.json()
        return prediction


@contextmanager
def serve_bento(bento_tag: str, settings: Settings) -> Iterator[ServedBento]:
    """Serve a bento on a free port of the loopback interface until the end of the block, or of this process.

    Args:
        bento_tag: Tag of the bento, or import path of the service.
        settings: Data folder.

    Yields:
        The ready service.

    Raises:
        SmokeTestError: The service ended, or was not ready in time; with the last lines of its log.
    """
    port = free_port()
    log = settings.data / "logs" / f"serve-{bento_tag.replace(':', '-')}-{port}.log"
    command = [sys.executable, "-P", "-m", "bentoml", "serve", bento_tag, "--host", HOST, "--port", str(port)]
    start, url = time.monotonic(), f"http://{HOST}:{port}"
    log.unlink(missing_ok=True)
    with start_process(
        bento_tag, command, {"HOLDFAST_KEYLESS": "loopback"} | os.environ | settings.environment(), log
    ) as server:
        try:
            server.wait_until_ready(lambda: health_problem(f"{url}/readyz"), _READY_SECONDS)
        except ProcessNotReadyError as error:
            raise SmokeTestError(str(error)) from None
        yield ServedBento(url, log, time.monotonic() - start)
