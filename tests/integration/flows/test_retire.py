"""Retirement of versions of the feature definitions."""

import json
from typing import Any

import pytest

from feature_repo.settings import Settings
from flows.retire import retire
from holdfast.core.errors import RollbackError
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import list_versions, open_version, register_version
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.feature_store.version_retirement import retire_version
from holdfast.model_versions.definition_retirement import StillNeededError
from holdfast.model_versions.definitions_in_use import find_needed_definitions
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.fingerprint import fingerprint
from tests.support.definition_changes import change_limit, change_window
from tests.support.labels import purchase_label
from tests.support.registered_versions import read_aliases, record_passed_gates
from tests.support.registered_versions import register_version as register_model
from tests.support.small_shop import register_definitions


def _second_definitions(change: Any = change_window) -> tuple[str, dict[str, str]]:
    """Register changed definitions, apply the first again, and return the id and the fingerprint of the second."""
    store = open_store()
    change(store)
    version = register_version(open_store())
    parts = fingerprint(open_store(definitions=version), purchase_label())
    register_definitions()
    return version, parts


def test_find_needed_definitions_names_every_role(registry_shop: tuple[Settings, Any]) -> None:
    _, client = registry_shop
    assert find_needed_definitions(client) == {}
    first = register_definitions()
    second, parts = _second_definitions()
    champion, challenger, newest = register_model(client), register_model(client, fingerprint=parts), ""
    newest = register_model(client)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    client.set_registered_model_alias(MODEL_NAME, CHALLENGER, challenger)
    assert find_needed_definitions(client) == {
        first: [f"champion {champion}", f"newest version {newest}"],
        second: [f"challenger {challenger}"],
    }


def test_retire_deletes_only_what_nothing_needs(registry_shop: tuple[Settings, Any]) -> None:
    settings, client = registry_shop
    applied = register_definitions()
    needed, parts = _second_definitions()
    unneeded, _ = _second_definitions(change_limit)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, register_model(client, fingerprint=parts))
    result = retire()
    assert result.retired == [unneeded]
    assert result.remaining == {applied: ["the applied definitions"], needed: ["champion 1", "newest version 1"]}
    assert list_versions(settings) == sorted([applied, needed])
    assert retire().retired == []
    assert f"Version {needed} stays: champion 1, newest version 1." in result.summary()


def test_retire_needed_version_requires_a_reason(registry_shop: tuple[Settings, Any]) -> None:
    settings, client = registry_shop
    wrong, parts = _second_definitions()
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, register_model(client, fingerprint=parts))
    with pytest.raises(StillNeededError, match=r"champion 1, newest version 1.*--reason"):
        retire(wrong)
    assert wrong in list_versions(settings)
    assert retire(wrong, "returns were counted twice").retired == [wrong]
    (record,) = map(json.loads, (settings.feast / "versions" / "retired.jsonl").read_text().splitlines())
    assert (record["version"], record["reason"]) == (wrong, "returns were counted twice")
    with pytest.raises(MissingVersionError, match=wrong):
        open_version(settings, wrong)


def test_retire_unknown_version_raises(registry_shop: tuple[Settings, Any]) -> None:
    with pytest.raises(MissingVersionError, match="abcdef123456"):
        retire("abcdef123456", "typing error")


def test_rollback_to_a_version_without_features_raises(registry_shop: tuple[Settings, Any]) -> None:
    from flows.promote import promote
    from flows.rollback import rollback

    settings, client = registry_shop
    definitions, parts = _second_definitions()
    old = register_model(client, fingerprint=parts)
    new = register_model(client)
    for version, before in ((old, None), (new, old)):
        record_passed_gates(client, version, before)
        promote(version)
    assert old in " ".join(find_needed_definitions(client)[definitions])
    with pytest.raises(RollbackError, match=r"has no online values.*stays version 2.*python -m flows.features"):
        rollback("complaints")
    retire_version(settings, definitions, "test")
    with pytest.raises(RollbackError, match=r"is not registered: it was retired"):
        rollback("complaints", to=old)
    assert read_aliases(client)[CHAMPION] == new
