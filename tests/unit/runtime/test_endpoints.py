"""Tests of the URLs of Prefect's pages."""

import pytest

from holdfast.runtime.endpoints import artifact_url


def test_urls_use_the_configured_prefect_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PREFECT_URL", "https://user:pass/word@prefect.example/")
    assert artifact_url("monitor-drift") == "https://prefect.example/artifacts/key/monitor-drift"
