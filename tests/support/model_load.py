"""Clients that send requests while models are swapped."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.service_state import CUSTOMERS


@dataclass
class LoadResult:
    """Responses to the clients: time, status and body of each."""

    responses: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def send_requests(self, url: str, caller: int, prefix: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            number = caller
            while not self.stopped.is_set():
                number += 1
                if number % 10:
                    response = client.post(f"{prefix}/predict", json={"customer_id": CUSTOMERS[number % 300]})
                else:
                    response = client.post(f"{prefix}/predict_batch", json={"customer_ids": CUSTOMERS})
                self.responses.append((time.monotonic(), response.status_code, response.json()))


@contextmanager
def under_load(url: str, callers: int = 4, prefix: str = "") -> Iterator[LoadResult]:
    """Send requests within the block; ``prefix`` is that of a model's endpoints, such as ``/models/spend``."""
    load = LoadResult()
    with ThreadPoolExecutor(callers) as pool:
        futures = [pool.submit(load.send_requests, url, caller, prefix) for caller in range(callers)]
        try:
            yield load
        finally:
            load.stopped.set()
        for future in futures:
            future.result()
