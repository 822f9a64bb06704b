"""Fixtures of simulated rollouts: a good challenger, and one with inverted scores."""

from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.rollout import notifications
from tests.support.rollout_simulator import SimulatedRollout, start_rollout


@pytest.fixture
def rollout(registry_shop: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch) -> SimulatedRollout:
    monkeypatch.setattr(notifications, "emit_event", lambda *_: True)  # there is no server
    return start_rollout(*registry_shop)


@pytest.fixture
def inverted_rollout(registry_shop: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch) -> SimulatedRollout:
    monkeypatch.setattr(notifications, "emit_event", lambda *_: True)
    return start_rollout(*registry_shop, kind="inverted")
