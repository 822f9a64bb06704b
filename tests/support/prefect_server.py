"""Asking a Prefect server that is a process of the test's own."""

import time
from typing import Any

import httpx


def post(api: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """The answer to a POST."""
    return answered(api, "POST", path, body).json()


def answered(api: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    """The answer to a request that succeeds in the end."""
    answer = api.request(method, path, json=body)
    for _ in range(20):  # the server responds 503 while its database is locked; Prefect's client retries, too
        if answer.status_code != 503:
            break
        time.sleep(0.5)
        answer = api.request(method, path, json=body)
    assert answer.is_success, answer.text
    return answer
