"""Attacks on Prefect's server of `make up` by web pages and other users of the machine; its worker runs any command."""

import base64
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from deploy.local.components import component_environment, list_components
from deploy.local.prefect_server import SIGN_IN_PATH, STORAGE_KEY, create_app
from deploy.local.settings import LocalSettings
from feature_repo.settings import Settings
from holdfast.runtime.prefect_access import CLIENT_PASSWORD, access_variables, export_lines, password_file

_CHANGES = ("POST", "PUT", "PATCH", "DELETE")
_OWN = "http://127.0.0.1:4200"
_OPEN = {"/api/health", "/api/ready"}  # of no value to an attacker, and needed by probes


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with an empty data folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_DATA", str(tmp_path_factory.mktemp("data")))
        return Settings.from_environment()


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[TestClient]:
    """Prefect's server with the settings that `make up` gives it; its database is never opened."""
    import prefect.settings

    variables = component_environment(settings, LocalSettings())
    ours = {getattr(prefect.settings, name): variables[name] for name in variables if name.startswith("PREFECT_")}
    with prefect.settings.temporary_settings({**ours, prefect.settings.PREFECT_UI_ENABLED: False}):
        yield TestClient(create_app(), base_url=_OWN, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def operations(server: TestClient) -> list[tuple[str, str]]:
    """Method and path of every operation of Prefect's API; the method of a web socket is empty."""
    from fastapi.routing import iter_route_contexts
    from prefect.server.api.server import create_api_app

    found = [
        (method, "/api" + re.sub(r"{[^}]*}", str(uuid4()), str(context.path)))
        for context in iter_route_contexts(create_api_app().routes)
        for method in sorted(context.methods or [""])
        if str(context.path).count("/") and "static" not in str(context.path)
    ]
    assert len(found) > 150
    assert len([path for method, path in found if not method]) >= 5
    return found


def _basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"}


@pytest.mark.parametrize("headers", [{}, _basic("holdfast:"), _basic("holdfast:guess"), {"Authorization": "Bearer x"}])
def test_prefect_server_without_the_password_refuses_every_operation(
    headers: dict[str, str], server: TestClient, operations: list[tuple[str, str]]
) -> None:
    """With the headers of a forged token, which a page could only have from the server itself."""
    for method, path in operations:
        if method in ("", "HEAD") or path in _OPEN:
            continue
        response = server.request(method, path, json={}, headers=headers)
        assert response.status_code == (403 if method in _CHANGES else 401), (method, path)


def test_prefect_server_change_without_a_token_is_refused(
    server: TestClient, settings: Settings, operations: list[tuple[str, str]]
) -> None:
    """A browser that is signed in still refuses what another page makes it send."""
    password = password_file(settings).read_text().strip()
    for method, path in operations:
        if method in _CHANGES:
            assert server.request(method, path, json={}, headers=_basic(password)).status_code == 403, (method, path)


def test_prefect_server_web_sockets_without_the_password_are_closed(
    server: TestClient, operations: list[tuple[str, str]]
) -> None:
    for path in [path for method, path in operations if not method]:
        with pytest.raises(WebSocketDisconnect), server.websocket_connect(path, subprotocols=["prefect"]) as socket:
            socket.send_json({"type": "auth", "token": "holdfast:guess"})
            socket.receive_json()
        with pytest.raises(WebSocketDisconnect), server.websocket_connect(path) as socket:
            socket.receive_json()


@pytest.mark.parametrize("origin", ["https://shop.example", "http://127.0.0.1:9999", "null"])
def test_prefect_server_other_origin_gets_no_permission(origin: str, server: TestClient) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    response = server.options("/api/flow_runs/filter", headers=headers)
    assert "access-control-allow-origin" not in response.headers
    own = server.options("/api/flow_runs/filter", headers=headers | {"Origin": _OWN})
    assert own.headers["access-control-allow-origin"] == _OWN


def test_prefect_server_other_host_name_is_refused(server: TestClient, settings: Settings) -> None:
    """A page whose name resolves to 127.0.0.1 has the origin of the server for the browser (DNS rebinding)."""
    password = password_file(settings).read_text().strip()
    for path in ("/api/health", "/api/admin/version", SIGN_IN_PATH):
        response = server.get(path, headers=_basic(password) | {"Host": "rebound.example:4200"})
        assert response.status_code == 400
        assert server.get(path, headers=_basic(password)).status_code == 200


def test_prefect_server_sign_in_page_runs_its_script_only(server: TestClient) -> None:
    response = server.get(SIGN_IN_PATH)
    assert "default-src 'none'; script-src 'sha256-" in response.headers["content-security-policy"]
    assert response.headers["x-frame-options"] == "DENY"
    assert server.get("/api/health").headers["x-frame-options"] == "DENY"


def test_storage_key_is_that_of_prefects_pages() -> None:
    """Contract: the pages read the password in Base64 from this entry of the browser's storage."""
    import prefect

    for pages in (prefect.__ui_static_path__, prefect.__ui_v2_static_path__):
        scripts = [file.read_text() for file in Path(pages).rglob("*.js")]
        assert any(f"`{STORAGE_KEY}`" in text for text in scripts)
        assert any("btoa(" in text and STORAGE_KEY in text for text in scripts)


def test_component_commands_do_not_contain_the_password(settings: Settings) -> None:
    """Every user of the machine can read command lines, but not the environment of another user's process."""
    password = component_environment(settings, LocalSettings())[CLIENT_PASSWORD]
    assert len(password) > 40
    assert password == password_file(settings).read_text().strip()
    assert not [item for item in list_components(settings, LocalSettings()) if password in item.command_line]


def test_access_variables_send_the_password_to_no_other_server(settings: Settings) -> None:
    own = access_variables(settings, {})
    foreign = access_variables(settings, {"PREFECT_API_URL": "https://prefect.example/api"})
    assert CLIENT_PASSWORD in own
    assert CLIENT_PASSWORD not in foreign
    assert foreign["PREFECT_SERVER_API_AUTH_STRING"] == own[CLIENT_PASSWORD]


def test_export_lines_set_the_password_without_printing_it(settings: Settings) -> None:
    lines = export_lines(settings, {})
    password = password_file(settings).read_text().strip()
    assert password not in "".join(lines)
    script = "\n".join([*lines, "echo $PREFECT_API_AUTH_STRING $PREFECT_SERVER_CORS_ALLOWED_ORIGINS"])
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{password} {_OWN},http://localhost:4200\n"
    assert shlex.quote(str(password_file(settings))) in "".join(lines)
