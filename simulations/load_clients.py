"""HTTP clients of the prediction service, which repeat a request when the service asks for it."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
import numpy as np

from simulations.daily_data import START

_RETRY_STATUSES = (429, 502, 503, 504)
_TRANSIENT = ("features_updating", "store_unavailable")  # transient problems of one customer of a batch
_MAX_WAIT_SECONDS = 2.0
_THREADS = 4
_BATCH = 50  # customers of one batch request
_PAUSE_SECONDS = 0.2  # between two requests of one continuous client
# Before 4 o'clock the features of the day before may still serve.
_FIRST_HOUR, _LAST_HOUR = 4, 23


@dataclass(frozen=True)
class RequestResult:
    """Result of a prediction request for one customer.

    Attributes:
        sent: Unix time of the first attempt.
        received: Unix time of the response, or of giving up.
        attempts: Number of HTTP requests.
        problem: Last problem; "" when there is a prediction.
        probability: Prediction; None: the client gave up.
    """

    request_id: str
    customer_id: str
    as_of: datetime
    sent: float
    received: float
    attempts: int
    problem: str = ""
    probability: float | None = None
    version: str = ""
    feature_timestamp: datetime | None = None


@dataclass
class LoadClients:
    """Clients that request predictions of random customers.

    Attributes:
        url: Address of the service.
        seed: Seed for customers and times of day.
        timeout: Seconds until a client gives up.
        customers: Customers to choose from.
        day: Midnight at the start of the day of the requests.
        results: Result for each requested customer.
    """

    url: str
    seed: int
    timeout: float = 120.0
    customers: Sequence[str] = ()
    day: datetime = START
    results: list[RequestResult] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def request_predictions(self, count: int) -> None:
        """Request predictions of different customers: a third in single requests, the others in batches.

        Args:
            count: Number of customers.
        """
        drawn = self._draw(count)
        single = len(drawn) // 3
        groups = [[customer] for customer in drawn[:single]]
        groups += [drawn[i : i + _BATCH] for i in range(single, len(drawn), _BATCH)]
        with (
            httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            for done in [pool.submit(self._request, client, group) for group in groups]:
                done.result()

    @contextmanager
    def continuous_load(self, threads: int = 2) -> Iterator[None]:
        """Send requests without end during the block; an error of a client is raised at the end of the block.

        Args:
            threads: Number of clients.

        Yields:
            Nothing.
        """
        stop = threading.Event()

        def send_until_stopped() -> None:
            with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
                while not stop.wait(_PAUSE_SECONDS):
                    self._request(client, self._draw(10))

        with ThreadPoolExecutor(threads) as pool:
            clients = [pool.submit(send_until_stopped) for _ in range(threads)]
            try:
                yield
            finally:
                stop.set()
        for client in clients:
            client.result()

    def _draw(self, count: int) -> list[str]:
        with self._lock:
            count = min(count, len(self.customers))
            return [self.customers[i] for i in self._random.choice(len(self.customers), count, replace=False)]

    def _request(self, client: httpx.Client, customers: Sequence[str]) -> None:
        """Send one request, and repeat the request until all customers have a prediction or the timeout is over."""
        with self._lock:
            request_id = f"sim-{next(self._numbers):07d}"
            minutes = int(self._random.integers(_FIRST_HOUR * 60, _LAST_HOUR * 60))
        as_of = self.day + timedelta(minutes=minutes)
        missing, attempts, problem = list(customers), 0, ""
        sent = time.time()
        while missing:
            attempts += 1
            attempt_id = f"{request_id}-{attempts}"
            items, problem, wait = _attempt(client, missing, as_of, attempt_id)
            received = time.time()
            for item in items:
                missing.remove(str(item["customer_id"]))
                self.results.append(_prediction_result(item, attempt_id, as_of, sent, received, attempts))
            if wait is None or received + wait - sent > self.timeout:
                break
            if missing:
                time.sleep(wait)
        for customer in missing:
            self.results.append(
                RequestResult(request_id, customer, as_of, sent, time.time(), attempts, problem or "no response")
            )


def _attempt(
    client: httpx.Client, customers: Sequence[str], as_of: datetime, request_id: str
) -> tuple[list[dict[str, object]], str, float | None]:
    """Send one HTTP request; returns predictions, a problem, and seconds until the next attempt (None: no attempt)."""
    single = len(customers) == 1
    body: dict[str, object] = {"customer_id": customers[0]} if single else {"customer_ids": list(customers)}
    body["as_of"] = as_of.isoformat()
    try:
        path = "/predict" if single else "/predict_batch"
        response = client.post(path, json=body, headers={"X-Request-ID": request_id})
    except httpx.TransportError as error:
        return [], f"{type(error).__name__}: {error}", _MAX_WAIT_SECONDS / 4
    if response.status_code != 200:
        retry = response.status_code in _RETRY_STATUSES
        wait = min(float(response.headers.get("Retry-After", 1)), _MAX_WAIT_SECONDS) if retry else None
        return [], f"{response.status_code}: {response.text}", wait
    content = response.json()
    if "predictions" not in content:
        return [content], "", 0.0
    ok = [item for item in content["predictions"] if item["status"] == "ok"]
    rejected = [item for item in content["predictions"] if item["status"] != "ok"]
    problem = f"{rejected[0]['status']}: {rejected[0]['detail']}" if rejected else ""
    return ok, problem, 1.0 if all(item["status"] in _TRANSIENT for item in rejected) else None


def _prediction_result(
    item: dict[str, object], request_id: str, as_of: datetime, sent: float, received: float, attempts: int
) -> RequestResult:
    return RequestResult(
        request_id,
        str(item["customer_id"]),
        as_of,
        sent,
        received,
        attempts,
        probability=float(str(item["churn_probability"])),
        version=str(item["model_version"]),
        feature_timestamp=datetime.fromisoformat(str(item["feature_timestamp"])),
    )


def count_retries(results: Sequence[RequestResult]) -> int:
    """Count the repeated attempts of all requests.

    Args:
        results: Results, of which several may belong to one request.

    Returns:
        Number of attempts beyond the first of each request.
    """
    return sum({item.request_id[:11]: item.attempts - 1 for item in results}.values())
