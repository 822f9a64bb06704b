"""The proof that a bento serves: started as a user would start it, and asked over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from feature_repo.errors import HoldfastError
from feature_repo.settings import Settings

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.1
_LOG_LINES = 15


class LiveCheckError(HoldfastError):
    """The bento did not come up, or did not answer with a prediction."""


@dataclass(frozen=True)
class LiveAnswer:
    """What the live service said."""

    prediction: dict[str, Any]
    seconds_to_ready: float


@dataclass(frozen=True)
class LiveService:
    """A served bento."""

    url: str
    log: Path
    seconds_to_ready: float


def ask_live_service(
    bento_tag: str, settings: Settings, customer_id: str, as_of: datetime | None, port: int | None = None
) -> LiveAnswer:
    """Serve the bento, ask for one prediction over HTTP, and end the service whatever happens.

    Raises:
        LiveCheckError: It did not become ready or did not answer with 200; holds the last lines of its log.
    """
    request = {"customer_id": customer_id} | ({"as_of": as_of.isoformat()} if as_of else {})
    with serving(bento_tag, settings, port) as service:
        answer = httpx.post(f"{service.url}/predict", json=request, timeout=30)
        if answer.status_code != 200:
            raise LiveCheckError(
                f"{bento_tag} answered {answer.status_code}: {answer.text}\n{_last_lines(service.log)}"
            )
        return LiveAnswer(answer.json(), service.seconds_to_ready)


@contextmanager
def serving(
    bento_tag: str, settings: Settings, port: int | None = None, ready_within: float = 120
) -> Iterator[LiveService]:
    """`bentoml serve` of the bento on the loopback interface, ready; its whole process group ends with the block.

    Raises:
        LiveCheckError: It ended or was not ready in ``ready_within`` seconds; holds the last lines of its log.
    """
    port = port or _free_port()
    log = settings.data / "logs" / f"serve-{bento_tag.replace(':', '-')}-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bentoml", "serve", bento_tag, "--host", _HOST, "--port", str(port)]
    start = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | settings.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://{_HOST}:{port}"
        _wait_until_ready(url, process, bento_tag, log, start + ready_within)
        yield LiveService(url, log, time.monotonic() - start)
    finally:
        _end_group(process)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], tag: str, log: Path, deadline: float) -> None:
    said = "no answer"
    while True:
        if process.poll() is not None:
            raise LiveCheckError(f"{tag} ended with status {process.returncode} before ready.\n{_last_lines(log)}")
        try:
            answer = httpx.get(f"{url}/readyz", timeout=5)
            if answer.status_code == 200:
                return
            said = answer.text.strip()
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise LiveCheckError(f"{tag} was not ready in time ({said}).\n{_last_lines(log)}")
        time.sleep(_POLL_SECONDS)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the supervisor and its workers, SIGKILL to what is left of the group after ten seconds."""
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return f"The end of {log}:\n" + "\n".join(lines)
