"""Requests to a Prefect server in another process."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from holdfast.runtime.prefect_access import CLIENT_PASSWORD
from tests.support.small_shop import prefect_api
from tests.support.waiting import wait_for


@contextmanager
def open_api(url: str, password: str) -> Iterator[httpx.Client]:
    """Open a client of Prefect's API with a password and a token for changes."""
    client = str(uuid4())
    with httpx.Client(base_url=url, timeout=90, auth=tuple(password.split(":", 1))) as api:
        token = send(api, "GET", f"/csrf-token?client={client}").json()["token"]
        api.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client})
        yield api


def post(api: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """Send a POST request and return the JSON of the response."""
    return send(api, "POST", path, body).json()


def send(api: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    """Send a request, retried while the server responds 503, and return the successful response."""
    response = api.request(method, path, json=body)
    for _ in range(20):  # the server responds 503 while its database is locked; Prefect's client retries, too
        if response.status_code != 503:
            break
        time.sleep(0.5)
        response = api.request(method, path, json=body)
    assert response.is_success, response.text
    return response


def received_events(name: str, is_expected: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Wait for expected events of a name at the server of the test session."""

    with open_api(prefect_api(), os.environ[CLIENT_PASSWORD]) as api:

        def query() -> list[dict[str, Any]] | None:
            found = post(api, "/events/filter", {"filter": {"event": {"name": [name]}}, "limit": 50})["events"]
            return [event for event in found if is_expected(event)] or None

        return wait_for(query, describe_failure=lambda: f"the server has no {name}")
