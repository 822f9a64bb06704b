"""Attacks by old states of the registry: each was signed, and none is accepted after a newer one."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.settings import Settings
from holdfast.core.errors import RollbackError
from holdfast.model_versions.aliases import drop_challenger, promotion_lock, set_challenger, set_champion
from holdfast.models import promotion_marks
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.promotion_marks import is_replayed, next_time, note_signature
from holdfast.models.promotion_signature import (
    SIGNATURE_TAG,
    UnsignedVersionError,
    ensure_keys,
    note_removed,
    note_signed,
    require_signed,
    sign_version,
)
from holdfast.models.registered_version import RegisteredVersion
from holdfast.models.registry_client import RegistryClient
from holdfast.promotion.rollback import RollbackCause, roll_back
from tests.support.registry import Registry, make_registry

ACTIONS = ("champion", "challenger", "remove", "rotate", "forget")


@pytest.fixture(autouse=True)
def readers_are_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reader in this process reads the registry while a promotion runs."""
    monkeypatch.setattr(promotion_marks, "_SETTLING", timedelta(microseconds=-1))


@pytest.fixture
def registry(data_dir: Path) -> Registry:
    found = make_registry(data_dir / "mlflow")
    for seed in range(2):
        found.register_model(seed=seed)
    return found


def tags_of(registry: Registry, number: str) -> dict[str, str]:
    return dict(registry.client.get_model_version(MODEL_NAME, number).tags)


def restore(registry: Registry, alias: str, number: str, tags: dict[str, str]) -> None:
    """Write an old state of a version, and move the alias to the version."""
    for name, value in tags.items():
        registry.client.set_model_version_tag(MODEL_NAME, number, name, value)
    registry.set_alias(alias, number)


def is_followed(registry: Registry, alias: str) -> bool:
    try:
        require_signed(RegistryClient(registry.uri).get_by_alias(alias), alias)
    except UnsignedVersionError as error:
        assert "a newer one was found" in str(error)
        return False
    return True


def test_replayed_champion_is_not_followed(registry: Registry) -> None:
    set_champion(registry.client, "1")
    old = tags_of(registry, "1")
    set_champion(registry.client, "2")
    restore(registry, CHAMPION, "1", old)
    assert not is_followed(registry, CHAMPION)
    with pytest.raises(UnsignedVersionError, match="an earlier state of the registry was restored"):
        RegistryClient(registry.uri).download_by_alias(CHAMPION)
    set_champion(registry.client, "1")
    assert is_followed(registry, CHAMPION)


def test_replayed_challenger_is_not_followed(registry: Registry) -> None:
    """A challenger whose alias a breached guardrail removed, and a former champion as challenger."""
    set_champion(registry.client, "1")
    set_challenger(registry.client, "2")
    assert is_followed(registry, CHALLENGER)
    old = tags_of(registry, "2")
    drop_challenger(registry.client, "2")
    restore(registry, CHALLENGER, "2", old)
    assert not is_followed(registry, CHALLENGER)
    set_champion(registry.client, "2")
    restore(registry, CHALLENGER, "1", {})
    assert not is_followed(registry, CHALLENGER)


def test_replay_is_refused_after_the_keys_were_rotated(registry: Registry, data_dir: Path) -> None:
    set_champion(registry.client, "1")
    old = tags_of(registry, "1")
    file = data_dir / "local" / "promotion-keys"
    file.write_text(f"a-new-key-of-many-characters\n{file.read_text()}")
    set_champion(registry.client, "2")
    restore(registry, CHAMPION, "1", old)
    assert not is_followed(registry, CHAMPION)


def test_service_in_another_place_remembers_what_it_has_read(
    registry: Registry, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container has a copy of the keys, and a data folder of its own, which it may not be able to write."""
    set_champion(registry.client, "1")
    old = tags_of(registry, "1")
    set_champion(registry.client, "2")
    monkeypatch.setenv("HOLDFAST_PROMOTION_KEYS_FILE", str(data_dir / "local" / "promotion-keys"))
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / "elsewhere"))
    assert is_followed(registry, CHAMPION)
    restore(registry, CHAMPION, "1", old)
    assert not is_followed(registry, CHAMPION)


def test_next_process_refuses_too(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    set_champion(registry.client, "1")
    old = tags_of(registry, "1")
    set_champion(registry.client, "2")
    monkeypatch.setattr(promotion_marks, "_remembered", {})
    restore(registry, CHAMPION, "1", old)
    assert not is_followed(registry, CHAMPION)


def test_promotion_that_was_killed_before_the_alias_moved_refuses_nothing(registry: Registry) -> None:
    set_champion(registry.client, "1")
    keys, _ = ensure_keys()
    signature = sign_version(keys, "2", tags_of(registry, "2"), CHAMPION, present=tags_of(registry, "1"))
    registry.client.set_model_version_tag(MODEL_NAME, "2", SIGNATURE_TAG, signature)
    assert is_followed(registry, CHAMPION)


def test_rollback_to_the_restored_champion_signs_it(registry: Registry, data_dir: Path) -> None:
    """The way out after the registry was restored from a copy on purpose."""
    cause = RollbackCause("Ann", "restored", datetime(2024, 1, 1, tzinfo=UTC))
    settings_ = Settings.from_environment()
    with promotion_lock(settings_):
        set_champion(registry.client, "1")
        old = tags_of(registry, "1")
        set_champion(registry.client, "2")
    restore(registry, CHAMPION, "1", old)
    with pytest.raises(RollbackError, match="moved to version 1 without a promotion"):
        roll_back(registry.client, settings_, "1", cause)
    record = {"previous": None, "when": "2023-01-01T00:00:00Z", "who": "Ann", "why": "x", "mode": "auto", "gates": "x"}
    registry.client.set_model_version_tag(
        MODEL_NAME, "1", "holdfast.promotion", json.dumps(record | {"thresholds": {}})
    )
    roll_back(registry.client, settings_, "1", cause)
    assert is_followed(registry, CHAMPION)


@pytest.mark.parametrize("content", ["", "{", '{"holdfast-churn champion": ["soon", "now"]}', "[1]"])
def test_damaged_marks_are_an_error_that_names_the_file(content: str, registry: Registry, data_dir: Path) -> None:
    set_champion(registry.client, "1")
    (data_dir / "local" / "promotion-marks.json").write_text(content)
    with pytest.raises(UnsignedVersionError, match=r"promotion-marks\.json cannot be read .* delete the file"):
        require_signed(RegistryClient(registry.uri).get_by_alias(CHAMPION), CHAMPION)


def test_reader_during_a_promotion_is_not_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion_marks, "_SETTLING", timedelta(seconds=5))
    old, new = next_time("m", CHAMPION), datetime.now(UTC) + timedelta(minutes=1)
    note_signature("m", CHAMPION, new)
    assert not is_replayed("m", CHAMPION, old)
    for seconds in (6, -6):
        assert is_replayed("m", CHAMPION, old, datetime.now(UTC) + timedelta(seconds=seconds))


class MemoryRegistry:
    """Aliases and tags of versions, with the actions of flows on them and all earlier states."""

    def __init__(self, file: Path) -> None:
        self._keys = file
        self.tags: dict[str, dict[str, str]] = {}
        self.aliases: dict[str, str] = {}
        self.states: list[tuple[str, RegisteredVersion]] = []

    def sign(self, alias: str, number: str) -> None:
        keys, _ = ensure_keys()
        present = self.tags.get(self.aliases.get(alias, ""))
        self.tags[number] = {SIGNATURE_TAG: sign_version(keys, number, {}, alias, present=present)}
        self.aliases[alias] = number
        note_signed(self.version(alias), alias)
        self.states.append((alias, self.version(alias)))

    def remove(self) -> None:
        if self.aliases.pop(CHALLENGER, None):
            note_removed(CHALLENGER)

    def rotate(self) -> None:
        ensure_keys()
        self._keys.write_text(f"key-number-{len(self.states)}-of-many-characters\n{self._keys.read_text()}")

    def version(self, alias: str) -> RegisteredVersion:
        number = self.aliases[alias]
        return RegisteredVersion(number, self.tags[number])


def accepts(version: RegisteredVersion, alias: str) -> bool:
    try:
        require_signed(version, alias)
    except UnsignedVersionError:
        return False
    return True


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from("123")), min_size=1, max_size=8))
def test_only_the_newest_state_of_each_alias_is_accepted(
    actions: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was promoted, withdrawn, rotated and restarted: each earlier state of an alias is refused."""
    data = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("HOLDFAST_DATA", str(data))
    registry = MemoryRegistry(data / "local" / "promotion-keys")
    steps: dict[str, Callable[[str], Any]] = {
        "champion": lambda number: registry.sign(CHAMPION, number),
        "challenger": lambda number: registry.sign(CHALLENGER, number),
        "remove": lambda _number: registry.remove(),
        "rotate": lambda _number: registry.rotate(),
        "forget": lambda _number: promotion_marks._remembered.clear(),  # a new process
    }
    for action, number in actions:
        steps[action](number)
    newest = dict(registry.states)
    for alias, state in registry.states:
        is_newest = state == newest[alias] and (alias == CHAMPION or CHALLENGER in registry.aliases)
        assert accepts(state, alias) == is_newest
        if alias == CHAMPION and state != newest[alias]:
            assert not accepts(state, CHALLENGER)
