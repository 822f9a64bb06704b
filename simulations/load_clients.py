"""Callers of the service over HTTP: they say for which time they ask, and ask again when told to come back later."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
import numpy as np

from simulations.daily_data import START

_AGAIN = (429, 502, 503, 504)
_PASSING = ("features_updating", "store_unavailable")  # what of one customer of a batch passes by itself
_LONGEST_WAIT = 2.0
_THREADS = 4
_GROUP = 50  # customers of one batch request
_PACE_SECONDS = 0.2  # between two requests of one background caller
# Before this time of day the features of the day before may still serve.
_FIRST_HOUR, _LAST_HOUR = 4, 23


@dataclass(frozen=True)
class Answer:
    """What came of asking for one customer. ``sent`` and ``came`` are Unix times; no probability: never answered."""

    request_id: str
    customer_id: str
    as_of: datetime
    sent: float
    came: float
    attempts: int
    problem: str = ""
    probability: float | None = None
    version: str = ""
    feature_timestamp: datetime | None = None


@dataclass
class Callers:
    """Who asks. The next requests are about ``customers`` on ``day``, the midnight with which it begins.

    Attributes:
        patience: A caller gives up after so many seconds.
        answers: What came of every customer asked for.
    """

    url: str
    seed: int
    patience: float = 120.0
    customers: Sequence[str] = ()
    day: datetime = START
    answers: list[Answer] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _drawing: threading.Lock = field(default_factory=threading.Lock)
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def ask(self, count: int) -> None:
        """So many different customers, a third one by one and the others in batches."""
        drawn = self._draw(count)
        single = len(drawn) // 3
        groups = [[one] for one in drawn[:single]]
        groups += [drawn[i : i + _GROUP] for i in range(single, len(drawn), _GROUP)]
        with (
            httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            for done in [pool.submit(self._ask, client, group) for group in groups]:
                done.result()

    @contextmanager
    def asking_on(self, threads: int = 2) -> Iterator[None]:
        """For the block, callers who never stop. An error of theirs is raised at its end."""
        stop = threading.Event()

        def go_on() -> None:
            with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
                while not stop.wait(_PACE_SECONDS):
                    self._ask(client, self._draw(10))

        with ThreadPoolExecutor(threads) as pool:
            callers = [pool.submit(go_on) for _ in range(threads)]
            try:
                yield
            finally:
                stop.set()
        for caller in callers:
            caller.result()

    def _draw(self, count: int) -> list[str]:
        with self._drawing:
            count = min(count, len(self.customers))
            return [self.customers[i] for i in self._random.choice(len(self.customers), count, replace=False)]

    def _ask(self, client: httpx.Client, customers: Sequence[str]) -> None:
        """One request, again until it is answered or patience ends."""
        with self._drawing:
            request_id = f"sim-{next(self._numbers):07d}"
            minutes = int(self._random.integers(_FIRST_HOUR * 60, _LAST_HOUR * 60))
        as_of = self.day + timedelta(minutes=minutes)
        missing, attempts, problem = list(customers), 0, ""
        sent = time.time()
        while missing:
            attempts += 1
            asked = f"{request_id}-{attempts}"
            items, problem, wait = _attempt(client, missing, as_of, asked)
            came = time.time()
            for item in items:
                missing.remove(str(item["customer_id"]))
                self.answers.append(_answered(item, asked, as_of, sent, came, attempts))
            if wait is None or came + wait - sent > self.patience:
                break
            if missing:
                time.sleep(wait)
        for customer in missing:
            self.answers.append(
                Answer(request_id, customer, as_of, sent, time.time(), attempts, problem or "no answer")
            )


def _attempt(
    client: httpx.Client, customers: Sequence[str], as_of: datetime, request_id: str
) -> tuple[list[dict[str, object]], str, float | None]:
    """Who was answered, what else was said, and after how many seconds to ask again; None: there is no use."""
    told = {"as_of": as_of.isoformat()}
    headers = {"X-Request-ID": request_id}
    try:
        if len(customers) == 1:
            answer = client.post("/predict", json={"customer_id": customers[0]} | told, headers=headers)
        else:
            answer = client.post("/predict_batch", json={"customer_ids": list(customers)} | told, headers=headers)
    except httpx.TransportError as error:
        return [], f"{type(error).__name__}: {error}", _LONGEST_WAIT / 4
    if answer.status_code != 200:
        again = answer.status_code in _AGAIN
        wait = min(float(answer.headers.get("Retry-After", 1)), _LONGEST_WAIT) if again else None
        return [], f"{answer.status_code}: {answer.text}", wait
    found = answer.json()
    if "predictions" not in found:
        return [found], "", 0.0
    ok = [item for item in found["predictions"] if item["status"] == "ok"]
    refused = [item for item in found["predictions"] if item["status"] != "ok"]
    told_why = f"{refused[0]['status']}: {refused[0]['detail']}" if refused else ""
    return ok, told_why, 1.0 if all(item["status"] in _PASSING for item in refused) else None


def _answered(
    item: dict[str, object], request_id: str, as_of: datetime, sent: float, came: float, attempts: int
) -> Answer:
    return Answer(
        request_id,
        str(item["customer_id"]),
        as_of,
        sent,
        came,
        attempts,
        probability=float(str(item["churn_probability"])),
        version=str(item["model_version"]),
        feature_timestamp=datetime.fromisoformat(str(item["feature_timestamp"])),
    )


def repeated(answers: Sequence[Answer], of: Callable[[Answer], str] = lambda answer: answer.request_id[:11]) -> int:
    """How many attempts were made again."""
    return sum({of(answer): answer.attempts - 1 for answer in answers}.values())
