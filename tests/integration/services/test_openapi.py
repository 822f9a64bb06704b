"""Requests generated from the OpenAPI document get the documented responses."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.types import Receive, Scope, Send

from tests.support.service_state import CUSTOMERS
from tests.support.two_models import build_two_models

pytestmark = pytest.mark.long

_CASES = 500
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
_answers: Counter[tuple[str, int]] = Counter()


@pytest.fixture(scope="module")
def described(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    """The OpenAPI document of a running service with both models."""
    with build_two_models(service_data, tmp_path_factory.mktemp("described")).serve() as client:

        async def started(scope: Scope, receive: Receive, send: Send) -> None:
            """Forward a request to the started service, as a local client."""
            if scope["type"] == "lifespan":
                await send({"type": "lifespan.startup.complete"})
                return
            here = ("127.0.0.1", 80)
            headers = [(b"host", b"127.0.0.1"), *(item for item in scope["headers"] if item[0] != b"host")]
            await client.app(scope | {"client": here, "server": here, "headers": headers}, receive, send)

        yield schemathesis.openapi.from_asgi("/docs.json", started)


schema = schemathesis.pytest.from_fixture("described")


@schemathesis.hook
def map_body(_: object, body: object) -> object:
    """Replace every second valid id by that of a stored customer; invalid ids stay."""
    if isinstance(body, dict) and _is_id(name := body.get("customer_id")) and len(name) % 2:
        return body | {"customer_id": CUSTOMERS[len(name) % 300]}
    if isinstance(body, dict) and isinstance(names := body.get("customer_ids"), list) and len(names) <= 300:
        ids = [CUSTOMERS[i] if i % 2 and _is_id(name) else name for i, name in enumerate(names)]
        return body | {"customer_ids": ids}
    return body


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 1 <= len(value) <= 128


@schema.parametrize()
@settings(max_examples=_CASES, deadline=None, suppress_health_check=list(HealthCheck))
def test_responses_match_the_openapi_document(case: schemathesis.Case) -> None:
    response = case.call_and_validate(checks=_CHECKS)
    _answers[case.path, response.status_code] += 1


def test_generated_requests_include_successes() -> None:
    assert sum(_answers.values()) >= 2000, _answers
    for path in ("/predict", "/predict_batch", "/models/spend/predict", "/models/spend/predict_batch"):
        assert _answers[path, 200] > 50, _answers
        assert _answers[path, 422] > 50, _answers
    assert _answers["/predict", 404] > 50, _answers
