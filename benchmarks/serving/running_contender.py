"""Running contenders, and the check of their responses."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.serving.contenders import Contender, ResponseCheck
from benchmarks.serving.fixture import ROOT, BenchmarkFixture
from benchmarks.serving.processes import BenchmarkProcesses
from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import HOST, ManagedProcess, free_port, log_tail

_START_SECONDS = 30.0


class WrongResponseError(HoldfastError):
    """A contender gives a wrong response, so that its measurements would be meaningless."""


class RunningContender:
    """Started contender, which is ready.

    Args:
        contender: Contender.
        fixture: Shared fixture.
        processes: Processes of the benchmark.

    Attributes:
        seconds_to_ready: Seconds from the start until the contender was ready.
    """

    def __init__(self, contender: Contender, fixture: BenchmarkFixture, processes: BenchmarkProcesses) -> None:
        self.contender, self.fixture = contender, fixture
        port = free_port()
        home = {"BENTOML_HOME": str(_bentoml_home(fixture, contender.name))}
        environment = fixture.environment | contender.environment | home
        self.url = f"http://{HOST}:{port}"
        command = [part.format(port=port) for part in contender.command]
        self.process = processes.start(contender.name, command, environment, ROOT)
        self.seconds_to_ready = self.process.seconds_to_ready(f"{self.url}{contender.ready}")

    def check(self) -> None:
        """Check the responses to requests with known results.

        Raises:
            WrongResponseError: A status or a content is wrong.
        """
        contender = self.contender
        self.check_at(contender.path, contender.requests, contender.check, len(self.fixture.expected))
        required = contender.required_metric
        self._wait_until(lambda: required in self._metrics(), f"metric {required!r}")
        if len(workers := bentoml_workers(self.process)) not in (0, contender.workers):
            raise WrongResponseError(f"{contender.name} has {len(workers)} workers instead of {contender.workers}.")

    def check_at(self, path: str, requests: str, check: ResponseCheck, count: int) -> None:
        """Check the responses to other requests.

        Args:
            path: Path of the requests.
            requests: Name of the request file.
            check: Check of the responses.
            count: Number of requests.

        Raises:
            WrongResponseError: A status or a content is wrong.
        """
        bodies = self.fixture.requests(requests).read_text().splitlines()[:count]
        responses = [self._post(path, body) for body in bodies]
        try:
            check(self.fixture, responses)
        except (KeyError, TypeError, IndexError, AssertionError) as error:
            raise WrongResponseError(
                f"{self.contender.name} gives a wrong response at {path}: {error!r}; {str(responses[0])[:500]}"
            ) from error

    def _metrics(self) -> str:
        if not self.contender.required_metric:
            return ""
        return httpx.get(f"{self.url}/metrics", timeout=30).raise_for_status().text

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise WrongResponseError(f"{self.contender.name}: no {what}.\n{log_tail(self.process.log)}")
            time.sleep(0.2)

    def _post(self, path: str, body: str) -> Any:
        headers = {"Content-Type": "application/json"}
        response = httpx.post(f"{self.url}{path}", content=body, headers=headers, timeout=30)
        if response.is_error:
            raise WrongResponseError(
                f"{self.contender.name} responds with {response.status_code}: {response.content[:500]!r}"
            )
        return response.json()


def bentoml_workers(process: ManagedProcess) -> list[psutil.Process]:
    """List the workers of `bentoml serve`, without its supervisor.

    Args:
        process: Process of a contender.

    Returns:
        The workers; none for other servers.
    """
    return [item for item in process.tree() if "_bentoml_impl.worker.service" in item.cmdline()]


def _bentoml_home(fixture: BenchmarkFixture, name: str) -> Path:
    """Copy BentoML's home for a server, which clears the folder of the metrics at its start."""
    home = fixture.data / f"bentoml-{name}"
    if not home.exists():
        shutil.copytree(fixture.data / "bentoml", home)
    return home
