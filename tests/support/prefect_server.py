"""Requests to a Prefect server in another process."""

import time
from typing import Any

import httpx


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
