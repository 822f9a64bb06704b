"""The registry watcher does not change the environment while threads may read it."""

import os
import threading
from pathlib import Path

import pytest

from holdfast.models.contract import CHAMPION
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.registry_client import FAIL_FAST_ENV, RegistryClient
from services.errors import NotReadyError
from services.models.registry_watcher import RegistryWatcher
from tests.support.registry import make_registry
from tests.support.waiting import wait_for


def _none() -> LoadedModel:
    raise NotReadyError("There is no model.")


def test_watcher_changes_environment_at_start_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may read the environment, in C, at any time."""
    registry = make_registry(tmp_path)
    registry.set_alias(CHAMPION, registry.register_model())
    for name in FAIL_FAST_ENV:
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    user_variable, *own_variables = FAIL_FAST_ENV
    monkeypatch.setenv(user_variable, "7")
    changed: list[tuple[str, bool]] = []
    change, remove = os.putenv, os.unsetenv

    def noted(name: bytes, *value: bytes) -> None:
        changed.append((os.fsdecode(name), threading.current_thread() is threading.main_thread()))
        (change if value else remove)(name, *value)

    monkeypatch.setattr(os, "putenv", noted)
    monkeypatch.setattr(os, "unsetenv", noted)
    watch = RegistryWatcher(
        RegistryClient(registry.uri), _none, lambda _: None, lambda _: None, poll_seconds=0.05, start_timeout=20
    )
    watch.start()
    try:
        registry.set_alias(CHAMPION, version := registry.register_model(1))
        wait_for(lambda: watch.state.champion == version)
        assert {name: os.environ[name] for name in FAIL_FAST_ENV} == FAIL_FAST_ENV | {user_variable: "7"}
    finally:
        watch.stop()
    assert sorted(changed) == sorted((name, True) for name in own_variables)
