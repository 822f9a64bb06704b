"""The service run by `bentoml serve` in separate processes, and threads that send requests to it."""

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from feature_repo.settings import NO_TELEMETRY
from holdfast.runtime.processes import free_port
from tests.support.bentoml_internals import WORKER_MODULE
from tests.support.live_metrics import Exposition
from tests.support.main_job import environment_of
from tests.support.server_processes import ServerProcess, running_server, wait_for_response
from tests.support.service_state import AS_OF, CUSTOMERS
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class LiveService:
    """URL, supervisor process and data folder of a service."""

    url: str
    server: ServerProcess
    data: Path

    def workers(self) -> list[int]:
        """Return the ids of the serving processes."""
        children = psutil.Process(self.server.process.pid).children(recursive=True)
        alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return [child.pid for child in alive if WORKER_MODULE in " ".join(child.cmdline())]

    def wait_until_ready(self) -> None:
        """Wait until the service is ready."""
        wait_for_response(self.server, f"{self.url}/readyz", within=120)

    def end(self) -> int:
        """End the service by SIGTERM; returns the exit status of the supervisor."""
        self.server.process.send_signal(signal.SIGTERM)
        return self.server.process.wait(60)

    def metric(self, name: str) -> float:
        """Return the sum of all series of a metric."""
        return Exposition.of(httpx.get(f"{self.url}/metrics", timeout=10, trust_env=False).text).total(name)


@contextmanager
def live_service(data: Path, **variables: str) -> Iterator[LiveService]:
    """Run `bentoml serve services.churn:ChurnService` on ``data`` at ``AS_OF``; yields when it is ready."""
    port = free_port()
    environment = environment_of(data) | NO_TELEMETRY | {"BENTOML_HOME": str(data / "bentoml")}
    environment |= {"HOLDFAST_CLOCK": AS_OF.isoformat(), "HOLDFAST_REGISTRY_START_SECONDS": "0"} | variables
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "bentoml", "serve", "services.churn:ChurnService", *where]
    with running_server(command, environment, data / "served.log") as server:
        service = LiveService(f"http://127.0.0.1:{port}", server, data)
        workers: list[int] = []
        try:
            service.wait_until_ready()
            yield service
        finally:
            if server.process.poll() is None:
                workers = service.workers()
                service.end()
            for pid in workers:  # each leads its session, which a signal to the process group does not reach
                if psutil.pid_exists(pid):
                    os.kill(pid, signal.SIGKILL)


@dataclass
class CallerThreads:
    """Threads that send requests with unique ids for one customer each, until they are stopped.

    Attributes:
        answered: Time of each response 200 by request id, monotonic seconds.
        others: All other responses.
        errors: Number of transport errors.
    """

    url: str
    key: str = ""
    answered: dict[str, float] = field(default_factory=dict)
    others: list[Any] = field(default_factory=list)
    errors: int = 0
    stopped: bool = False
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def send_requests(self, name: str) -> None:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        while not self.stopped:
            try:
                with httpx.Client(base_url=self.url, timeout=20, trust_env=False, headers=headers) as client:
                    while not self.stopped:
                        self._ask(client, f"{name}-{next(self._numbers):06d}")
            except httpx.TransportError:
                self.errors += 1
                time.sleep(0.02)

    def _ask(self, client: httpx.Client, request_id: str) -> None:
        customer = CUSTOMERS[int(request_id[-6:]) % len(CUSTOMERS)]
        answer = client.post("/predict", json={"customer_id": customer}, headers={"X-Request-ID": request_id})
        if answer.status_code == 200:
            self.answered[request_id] = time.monotonic()
        else:
            self.others.append(answer)

    def wait_for(self, count: int) -> None:
        """Wait for ``count`` more responses 200."""
        wanted = len(self.answered) + count
        wait_for(lambda: len(self.answered) >= wanted)


@contextmanager
def running_callers(url: str, name: str, key: str = "", threads: int = 3) -> Iterator[CallerThreads]:
    """Run threads that send requests within the block."""
    found = CallerThreads(url, key)
    workers = [threading.Thread(target=found.send_requests, args=(f"{name}{i}",)) for i in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield found
    finally:
        found.stopped = True
        for worker in workers:
            worker.join()
