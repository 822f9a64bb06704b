"""A challenger on trial, a good one and one that fears who buys."""

from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.rollout import notifications
from tests.support.rollout_simulator import Trial, begin


@pytest.fixture
def trial(planted: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(notifications, "tell", lambda *_: True)  # there is no server
    return begin(*planted)


@pytest.fixture
def flipped(planted: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(notifications, "tell", lambda *_: True)
    return begin(*planted, kind="inverted")
