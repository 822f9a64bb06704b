"""Attacks on the status page where other machines can reach it."""

import base64

import pytest
from starlette.testclient import TestClient

from holdfast.status_page.app import create_app
from holdfast.status_page.system_status import SystemStatus

PASSWORD = "holdfast:secret:with:colons"


def never() -> SystemStatus:
    """Fail: the state must not be read for a refused request."""
    raise AssertionError("the state was read")


def basic(text: bytes) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text).decode()}"}


@pytest.fixture
def page() -> TestClient:
    return TestClient(create_app(["status.shop.example"], never, PASSWORD), base_url="http://status.shop.example")


@pytest.mark.parametrize("path", ["/", "/state.json", "/runbook", "/style.css", "/none", "//health", "/health/"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(b"holdfast:guess"),
        basic(b""),
        basic(b"\xff"),
        {"Authorization": "Basic ***"},
        {"Authorization": "Basic"},
        {"Authorization": f"Bearer {PASSWORD}"},
    ],
)
def test_status_page_without_the_password_shows_nothing(path: str, headers: dict[str, str], page: TestClient) -> None:
    response = page.get(path, headers=headers)
    assert (response.status_code, response.text) == (401, "A password is needed.")
    assert response.headers["www-authenticate"].startswith("Basic ")


def test_status_page_with_the_password_shows_its_pages(page: TestClient) -> None:
    assert page.get("/runbook", headers=basic(PASSWORD.encode())).status_code == 200
    assert page.get("/health").text == "ok"


@pytest.mark.parametrize("host", ["rebound.example", "shop.example", "status.shop.example.rebound.example"])
def test_status_page_other_host_name_is_refused(host: str, page: TestClient) -> None:
    assert page.get("/runbook", headers=basic(PASSWORD.encode()) | {"Host": host}).status_code == 400


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "192.168.1.5", "[fe80::1]:8080", "localhost", "STATUS.shop.example"]
)
def test_status_page_addresses_and_own_names_are_served(host: str, page: TestClient) -> None:
    assert page.get("/runbook", headers=basic(PASSWORD.encode()) | {"Host": host}).status_code == 200
