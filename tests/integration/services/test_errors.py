"""Errors: one format, the right status, no internals."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.support.service_fixtures import assert_clean, assert_error

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "fragments"),
    [
        ({}, ["customer_id is missing"]),
        ({"customer_id": None}, ["customer_id", "string"]),
        ({"customer_id": 5}, ["customer_id", "string"]),
        ({"customer_id": ["c001"]}, ["customer_id", "string"]),
        ({"customer_id": ""}, ["customer_id", "at least 1"]),
        ({"customer_id": "x" * 129}, ["customer_id", "at most 128"]),
        ({"customer_id": "c001", "features": {}}, ["'features' is not a field"]),
        ({"request": {"customer_id": "c001"}}, ["customer_id is missing", "'request' is not a field"]),
        ({"customer_id": "c001", "explain": 1}, ["explain", "boolean"]),
        ({"customer_id": "c001", "explain": "true"}, ["explain", "boolean"]),
        ({"customer_id": "c001", "explain": None}, ["explain", "boolean"]),
        ({"customer_id": "c001", "as_of": "yesterday"}, ["as_of", "ISO 8601"]),
        ({"customer_id": "c001", "as_of": ""}, ["as_of", "ISO 8601"]),
        ({"customer_id": "c001", "as_of": 1709251200}, ["as_of", "ISO 8601"]),
        ({"customer_id": "c001", "as_of": True}, ["as_of", "ISO 8601"]),
        ({"customer_id": "c001", "as_of": "2024-02-30"}, ["as_of", "ISO 8601"]),
        ({"customer_id": "c001", "as_of": "2024-03-01T00:00:00.0000001Z"}, ["as_of", "six decimals"]),
        ({"customer_id": "c001", "as_of": "0001-01-01T00:00:00+23:59"}, ["as_of", "1970 and 2199"]),
        ({"customer_id": "c001", "as_of": "9999-12-31T23:59:59-23:59"}, ["as_of", "1970 and 2199"]),
        ({"customer_id": "c001", "as_of": "9" * 5000}, ["as_of"]),
        ([], ["object"]),
        ("c001", ["object"]),
        (None, ["object"]),
    ],
)
def test_invalid_body_names_the_field(client: TestClient, body: Any, fragments: list[str]) -> None:
    assert_error(client.post("/predict", content=json.dumps(body), headers=JSON), 422, *fragments)


def test_invalid_batch_names_the_item(client: TestClient) -> None:
    error = client.post("/predict_batch", json={"customer_ids": ["c001", 7, "c002", "", None, False]})
    sentence = assert_error(error, 422, "customer_ids.1", "customer_ids.3", "customer_ids.4", "and 1 more")
    assert "customer_ids.5" not in sentence
    assert_error(client.post("/predict_batch", json={"customer_ids": "c001"}), 422, "customer_ids", "array")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'customer_id': 'c001'}",
        b"\xff\xfe\x00",
        b'{"customer_id": "\xe9"}',
        b'{"customer_id": "\\ud800"}',
        b'{"customer_id": ' + b"9" * 9000 + b"}",
        b"[" * 50_000,
        b'{"a":' * 50_000,
    ],
)
def test_non_json_body_is_bad_request(client: TestClient, body: bytes) -> None:
    assert_error(client.post("/predict", content=body, headers=JSON), 400, "not valid JSON")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"-0", b"1" * 400])
def test_numbers_as_customer_id_are_invalid(client: TestClient, number: bytes) -> None:
    body = b'{"customer_id": ' + number + b"}"
    assert_error(client.post("/predict", content=body, headers=JSON), 422, "customer_id", "string")


def test_other_content_types_are_unsupported(client: TestClient) -> None:
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/vnd.bentoml+pickle", "x"]:
        assert_error(client.post("/predict", content=b"{}", headers={"Content-Type": kind}), 415, "JSON")
    assert_error(client.post("/predict", files={"customer_id": b"c001"}), 415, "JSON")
    body = json.dumps({"customer_id": "c001"})
    assert client.post("/predict", content=body, headers={"Content-Type": "Application/JSON; charset=utf-8"}).is_success


def test_body_above_limit_is_too_large(client: TestClient) -> None:
    assert_error(client.post("/predict", content=b" " * 1_048_577, headers=JSON), 413, "1048576")


def test_unknown_paths_and_methods_are_404_and_405(client: TestClient) -> None:
    assert_error(client.get("/nothing/here"), 404, "/predict")
    assert_error(client.post("/predict/x", json={}), 404)
    for method in ["GET", "PUT", "DELETE", "PATCH"]:
        response = client.request(method, "/predict")
        assert_error(response, 405, "POST")
        assert response.headers["allow"] == "POST"


def test_pages_allow_get_only(client: TestClient) -> None:
    for path in ["/livez", "/readyz", "/docs.json"]:
        response = client.post(path, json={})
        assert_error(response, 405)
        assert response.headers["allow"] == "GET"


def test_unknown_customer_is_404_with_id(client: TestClient) -> None:
    for name in ["no-such-id", "C001", "ünïcödé", "a\x00b", "'; DROP TABLE x;--"]:
        assert_error(client.post("/predict", json={"customer_id": name}), 404, repr(name))


def test_unexpected_error_reveals_no_internals(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret in /srv/holdfast/services/churn.py")

    monkeypatch.setattr("services.features.input_reader.check_inputs", broken)
    assert_error(client.post("/predict", json={"customer_id": "c001"}), 500, "unexpected error")


def test_docs_json_describes_the_api(client: TestClient) -> None:
    described = client.get("/docs.json").json()
    paths, schemas = described["paths"], described["components"]["schemas"]
    assert {"/predict", "/predict_batch"} <= set(paths)
    schema = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/PredictRequest"}
    assert set(schemas["PredictRequest"]["properties"]) == {"customer_id", "as_of", "explain", "fields"}
    assert "activity window" in str(schemas["Prediction"])
    assert "null unless the request has explain" in str(schemas["Prediction"])
    assert "features_updating" in str(schemas["BatchItem"])


_words = st.text(st.characters(exclude_characters="/", exclude_categories=("Cs",)), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=12,
)
_requests = st.fixed_dictionaries(
    {},
    optional={
        "customer_id": _json,
        "customer_ids": st.lists(_words, max_size=5) | _json,
        "as_of": _json,
        "explain": st.booleans() | _json,
        "x": _json,
    },
)
_bodies = st.one_of(
    _json.map(lambda body: json.dumps(body).encode()),
    _requests.map(lambda body: json.dumps(body).encode()),
    st.binary(max_size=80),
    st.tuples(_requests, st.integers(0, 60), st.binary(max_size=3)).map(
        lambda parts: (text := json.dumps(parts[0]).encode())[: parts[1]] + parts[2] + text[parts[1] + 1 :]
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_bodies, route=st.sampled_from(["/predict", "/predict_batch"]))
def test_any_body_gets_no_5xx(client: TestClient, body: bytes, route: str) -> None:
    response = client.post(route, content=body, headers=JSON)
    assert response.status_code < 500, response.text
    if response.status_code == 200:
        return
    assert_error(response, response.status_code)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(as_of=st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(str) | _words)
def test_any_as_of_gets_no_5xx(client: TestClient, as_of: str) -> None:
    response = client.post("/predict", json={"customer_id": "c001", "as_of": as_of})
    assert response.status_code in (200, 422), response.text
    assert_clean(response.text)
