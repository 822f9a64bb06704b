"""Attacks on the pages of MLflow, Feast and Evidently: nothing can be changed through them."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from deploy.local.components import list_components
from deploy.local.read_only_server import _APPS, _MLFLOW_SEARCH, protect
from deploy.local.settings import LocalSettings
from feature_repo.settings import Settings

OWN = "http://127.0.0.1:5000"
CHANGES = [
    ("POST", "/api/2.0/mlflow/registered-models/alias"),
    ("DELETE", "/api/2.0/mlflow/registered-models/alias"),
    ("POST", "/ajax-api/2.0/mlflow/model-versions/set-tag"),
    ("POST", "/api/2.0/mlflow/runs/search/../create"),
    ("POST", "/api/2.0/mlflow/runs/create"),
    ("PATCH", "/api/2.0/mlflow/model-versions/update"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/model.skops"),
    ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"),
    ("POST", "/api/v1/feature_views"),
    ("DELETE", "/api/v1/projects/holdfast"),
    ("DELETE", "/api/projects/1/snapshots/1"),
    ("POST", "/api/projects"),
    ("TRACE", "/"),
    ("PROPFIND", "/"),
]


class Inner:
    """Application that accepts every request and records it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        inner = Starlette(routes=[WebSocketRoute("/ws", self.socket), Mount("/", self.page)])
        self.client = TestClient(protect(inner, _MLFLOW_SEARCH), base_url=OWN)

    async def page(self, scope: object, receive: object, send: object) -> None:
        request = Request(scope)  # type: ignore[arg-type]
        self.calls.append((request.method, request.url.path))
        await PlainTextResponse("done")(scope, receive, send)  # type: ignore[arg-type]

    async def socket(self, socket: WebSocket) -> None:
        self.calls.append(("", "/ws"))
        await socket.accept()


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_changes_are_refused(method: str, path: str, inner: Inner) -> None:
    response = inner.client.request(method, path, json={})
    assert response.status_code == 403
    assert inner.calls == []


def test_reads_and_searches_are_served(inner: Inner) -> None:
    assert inner.client.get("/").text == "done"
    assert inner.client.head("/api/version").status_code == 200
    for path in ("/ajax-api/2.0/mlflow/runs/search", "/api/2.0/mlflow/experiments/search", "/graphql"):
        assert inner.client.post(path, json={}).text == "done"
    assert inner.client.get("/").headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("origin", ["https://shop.example", "http://127.0.0.1:9999", "null"])
def test_pages_of_other_origins_read_nothing(origin: str, inner: Inner) -> None:
    for method, path in (("GET", "/"), ("POST", "/ajax-api/2.0/mlflow/runs/search")):
        assert inner.client.request(method, path, headers={"Origin": origin}).status_code == 403
    assert inner.calls == []
    assert inner.client.post("/graphql", headers={"Origin": OWN}).status_code == 200


def test_web_sockets_are_closed(inner: Inner) -> None:
    with pytest.raises(WebSocketDisconnect), inner.client.websocket_connect("/ws"):
        pass
    assert inner.calls == []


def test_components_of_make_up_are_read_only(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, mlflow_tracking_uri="sqlite:///x.db")
    commands = {item.name: item.command_line for item in list_components(settings, LocalSettings())}
    for name in _APPS:
        assert f"-m deploy.local.read_only_server {name} --host 127.0.0.1" in commands[name]
