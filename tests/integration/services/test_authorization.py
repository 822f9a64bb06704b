"""Authorization over HTTP: API keys, requests from this machine, and CORS."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.http_service import HttpService, serve_over_http
from tests.support.service_fixtures import assert_error, serve_in_process
from tests.support.service_requests import problem_kind
from tests.support.waiting import wait_for

OLD, NEW, OTHER = "holdfast_old", "holdfast_new", "holdfast_other"
SHOP, ELSEWHERE = "https://shop.example", "https://elsewhere.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


def line(name: str, key: str) -> str:
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}\n"


def ask(client: httpx.Client, headers: dict[str, str] | None = None) -> httpx.Response:
    return client.post("/predict", json={"customer_id": "c001"}, headers=headers)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of keys of ``locked``."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.touch(mode=0o600)
    file.write_text(line("shop", OLD) + line("crm", OTHER))
    return file


@pytest.fixture(scope="module")
def locked(service_data: Path, keys: Path) -> Iterator[HttpService]:
    """A service with keys that allows the origin ``SHOP``."""
    with serve_over_http(service_data, HOLDFAST_API_KEYS_FILE=str(keys), HOLDFAST_CORS_ORIGINS=SHOP) as address:
        yield address


@pytest.fixture(scope="module")
def unlocked(service_data: Path) -> Iterator[HttpService]:
    """A service without keys on all network interfaces, without allowed origins."""
    with serve_over_http(service_data, host="0.0.0.0") as address:
        yield HttpService(address.port)


def test_service_without_keys_allows_no_request_unless_that_was_set(service_data: Path) -> None:
    """A proxy on the same machine can look like a caller on the machine."""
    with serve_in_process(service_data, HOLDFAST_KEYLESS="") as client:
        response = client.post("/predict", json={"customer_id": "c001"}, headers={"Host": "127.0.0.1"})
        assert response.status_code == 401
        assert "it allows no requests" in response.json()["detail"]
        assert client.get("/livez").status_code == 200


@pytest.fixture
def with_keys(locked: HttpService) -> Iterator[httpx.Client]:
    with locked.client() as client:
        yield client


@pytest.fixture
def without_keys(unlocked: HttpService) -> Iterator[httpx.Client]:
    with unlocked.client() as client:
        yield client


class TestKeys:
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {OLD}"},
            {"Authorization": ""},
            {"X-API-Key": "wrong"},
            {"X-API-Key": f"{OLD}x"},
            {"Cookie": f"key={OLD}"},
            {"Authorization": "Bearer wrong", "X-API-Key": OLD},
        ],
    )
    def test_prediction_without_valid_key_is_unauthorized(
        self, with_keys: httpx.Client, headers: dict[str, str]
    ) -> None:
        for path, body in (("/predict", {"customer_id": "c001"}), ("/predict_batch", {"customer_ids": ["c001"]})):
            response = with_keys.post(path, json=body, headers=headers)
            assert_error(response, 401, "Send a valid API key")
            assert problem_kind(response) == "unauthorized"
            assert response.headers["www-authenticate"] == "Bearer"
        assert_error(with_keys.post("/predict", content=b"{" * 100, headers=headers), 401)

    @pytest.mark.parametrize("key", [OLD, OTHER])
    def test_prediction_with_any_valid_key_succeeds(self, with_keys: httpx.Client, key: str) -> None:
        assert ask(with_keys, {"Authorization": f"Bearer {key}"}).status_code == 200
        assert ask(with_keys, {"X-API-Key": key}).status_code == 200

    def test_key_file_changed_applies_without_restart(self, with_keys: httpx.Client, keys: Path) -> None:
        def status(key: str) -> int:
            return ask(with_keys, {"Authorization": f"Bearer {key}"}).status_code

        def change(text: str, key: str, wanted: int) -> None:
            temporary = keys.with_name("temporary")
            temporary.touch(mode=0o600)
            temporary.write_text(text)
            temporary.replace(keys)
            wait_for(lambda: status(key) == wanted, describe_failure=lambda: f"still {status(key)}")

        before = keys.read_text()
        assert (status(OLD), status(NEW)) == (200, 401)
        change(line("shop", OLD) + line("shop", NEW), NEW, 200)
        assert (status(OLD), status(OTHER)) == (200, 401)
        change(line("shop", NEW), OLD, 401)
        assert status(NEW) == 200
        change(before, OLD, 200)

    def test_health_and_metrics_need_no_key(self, with_keys: httpx.Client) -> None:
        for path in ("/livez", "/readyz", "/docs.json"):
            assert with_keys.get(path).status_code == 200

    def test_forwarded_request_needs_key(self, with_keys: httpx.Client) -> None:
        forwarded = {"X-Forwarded-For": "127.0.0.1"}
        assert ask(with_keys, forwarded).status_code == 401
        assert ask(with_keys, forwarded | {"X-API-Key": OLD}).status_code == 200


class TestPaths:
    """BentoML's router maps more paths to an endpoint than the middleware does."""

    @pytest.mark.parametrize(
        "path", ["/predict%0A", "/predict%0A?x=1", "/predict_batch%0a", "/predict/", "//predict", "/%70redict%0A", "/x"]
    )
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
    def test_other_paths_do_not_predict(self, with_keys: httpx.Client, path: str, method: str) -> None:
        body = {"customer_id": "c001", "customer_ids": ["c001"]}
        response = with_keys.request(method, path, json=body)
        assert_error(response, response.status_code)
        assert response.status_code in (401, 404, 405), response.text
        assert "churn_probability" not in response.text

    def test_encoded_path_equals_path(self, with_keys: httpx.Client) -> None:
        assert_error(with_keys.post("/%70redict", json={"customer_id": "c001"}), 401)
        headers = {"X-API-Key": OTHER}
        assert with_keys.post("/%70redict", json={"customer_id": "c001"}, headers=headers).status_code == 200


class TestNoKeys:
    @pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
    def test_page_with_local_host_name_is_unauthorized(
        self, without_keys: httpx.Client, headers: dict[str, str]
    ) -> None:
        assert_error(ask(without_keys, headers), 401)
        assert ask(without_keys, {"Host": "localhost:3000"}).status_code == 200

    def test_body_without_content_type_is_unsupported(self, without_keys: httpx.Client) -> None:
        assert_error(without_keys.post("/predict", content=b'{"customer_id": "c001"}'), 415)

    def test_local_request_without_keys_succeeds(self, without_keys: httpx.Client) -> None:
        assert ask(without_keys).status_code == 200

    @pytest.mark.parametrize(
        "header", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"]
    )
    @pytest.mark.parametrize("address", ["203.0.113.7", "127.0.0.1"])
    def test_forwarded_request_without_keys_is_unauthorized(
        self, without_keys: httpx.Client, header: str, address: str
    ) -> None:
        response = ask(without_keys, {header: address})
        assert_error(response, 401, "allows requests from its machine only")
        assert problem_kind(response) == "unauthorized"

    def test_remote_request_without_keys_is_unauthorized(self, unlocked: HttpService) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # nothing is sent; it finds the address that this machine sends from
            except OSError:
                pytest.skip("this machine is in no network")
            host = str(probe.getsockname()[0])
        with HttpService(unlocked.port, host).client() as client:
            assert_error(ask(client), 401, "allows requests from its machine only")
            assert client.get("/livez").status_code == 200
            assert client.get("/readyz").status_code == 200


class TestCors:
    def test_cors_without_origins_allows_none(self, without_keys: httpx.Client) -> None:
        preflight = without_keys.options("/predict", headers={"Origin": SHOP} | PREFLIGHT)
        assert preflight.status_code == 405
        response = ask(without_keys, {"Origin": SHOP})
        for found in (preflight, response):
            assert not [name for name in found.headers if name.startswith("access-control")]

    def test_cors_named_origin_is_allowed(self, with_keys: httpx.Client) -> None:
        for path in ("/predict", "/predict_batch"):
            preflight = with_keys.options(path, headers={"Origin": SHOP} | PREFLIGHT)
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == SHOP
            assert "POST" in preflight.headers["access-control-allow-methods"]
            assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        response = ask(with_keys, {"Origin": SHOP, "X-API-Key": OLD})
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, SHOP)
        assert "X-Request-ID" in response.headers["access-control-expose-headers"]

    def test_cors_named_origin_can_read_errors(self, with_keys: httpx.Client) -> None:
        response = ask(with_keys, {"Origin": SHOP})
        assert_error(response, 401)
        assert response.headers["access-control-allow-origin"] == SHOP

    def test_cors_other_origin_is_not_allowed(self, with_keys: httpx.Client) -> None:
        preflight = with_keys.options("/predict", headers={"Origin": ELSEWHERE} | PREFLIGHT)
        assert preflight.status_code == 400
        response = ask(with_keys, {"Origin": ELSEWHERE, "X-API-Key": OLD})
        for found in (preflight, response):
            assert "access-control-allow-origin" not in found.headers
