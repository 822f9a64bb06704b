"""Clients that keep sending requests while models are swapped."""

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
    """What callers were told, while they kept asking."""

    answers: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    ends: threading.Event = field(default_factory=threading.Event)

    def ask(self, url: str, caller: int) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            number = caller
            while not self.ends.is_set():
                number += 1
                if number % 10:
                    answer = client.post("/predict", json={"customer_id": CUSTOMERS[number % 300]})
                else:
                    answer = client.post("/predict_batch", json={"customer_ids": CUSTOMERS})
                self.answers.append((time.monotonic(), answer.status_code, answer.json()))


@contextmanager
def under_load(url: str, callers: int = 4) -> Iterator[LoadResult]:
    load = LoadResult()
    with ThreadPoolExecutor(callers) as pool:
        futures = [pool.submit(load.ask, url, caller) for caller in range(callers)]
        try:
            yield load
        finally:
            load.ends.set()
        for future in futures:
            future.result()
