"""Which features may be in an answer; who asks again, and who gives up."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from simulations.answer_checker import Materialised, could_serve
from simulations.load_clients import Answer, Callers, repeated

FIRST = datetime(1998, 5, 1, tzinfo=UTC)
SECOND = FIRST + timedelta(days=1)
OLD = Materialised(FIRST, FIRST, began=0, ended=10)
NEW = Materialised(SECOND, SECOND, began=100, ended=110)


def answer(sent: float, came: float, features: datetime) -> Answer:
    return Answer("sim-1-1", "c", SECOND, sent, came, 1, "", 0.5, "1", features)


def test_only_what_was_there_when_it_was_asked_may_be_in_an_answer() -> None:
    both = [OLD, NEW]
    assert could_serve(both, answer(50, 51, FIRST)) == [OLD]
    assert could_serve(both, answer(50, 51, SECOND)) == []
    assert could_serve(both, answer(105, 106, FIRST)) == [OLD]
    assert could_serve(both, answer(105, 106, SECOND)) == [NEW]
    assert could_serve(both, answer(50, 105, SECOND)) == [NEW]
    assert could_serve(both, answer(120, 121, SECOND)) == [NEW]
    assert could_serve(both, answer(120, 121, FIRST)) == [], "the store went back"


@contextmanager
def service(statuses: list[int]) -> Iterator[str]:
    """One that answers with each status in turn, and then with scores."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = statuses.pop(0) if statuses else 200
            ids = body.get("customer_ids", [body.get("customer_id")])
            items = [item(one, "ok") for one in ids]
            told: Any = items[0] if "customer_id" in body else {"predictions": items}
            if status != 200:
                told = {"detail": "not now"}
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Retry-After", "0.05")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def item(customer: str, status: str) -> dict[str, Any]:
    told = {"customer_id": customer, "status": status, "churn_probability": 0.25, "model_version": "3"}
    return told | {"feature_timestamp": FIRST.isoformat(), "detail": None}


def asked(url: str, count: int, patience: float = 30.0) -> list[Answer]:
    callers = Callers(url, seed=1, patience=patience)
    callers.customers, callers.day = [f"c{number:03d}" for number in range(100)], FIRST
    callers.ask(count)
    return callers.answers


def test_callers_ask_again_when_told_to_come_back() -> None:
    with service([503, 429, 503]) as url:
        answers = asked(url, 30)
    assert len({one.customer_id for one in answers}) == len(answers) == 30
    assert {(one.probability, one.version, one.feature_timestamp) for one in answers} == {(0.25, "3", FIRST)}
    assert {one.as_of.date() for one in answers} == {FIRST.date()}
    assert repeated(answers) == 3


def test_what_will_not_get_better_is_not_asked_again() -> None:
    with service([422]) as url:
        (answer,) = asked(url, 1)
    assert (answer.probability, answer.attempts) == (None, 1)
    assert answer.problem.startswith("422")


def test_callers_give_up_in_the_end() -> None:
    with service([503] * 100) as url:
        answers = asked(url, 3, patience=0.2)
    assert [one.probability for one in answers] == [None] * 3
    assert repeated([replace(one, attempts=1) for one in answers]) == 0
