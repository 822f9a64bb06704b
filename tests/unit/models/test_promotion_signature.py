"""Attacks on the registry: a service follows an alias only to a version that a holder of the key has promoted."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.model_versions.aliases import set_challenger, set_champion
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, SERVED_MODEL_TAG
from holdfast.models.promotion_signature import (
    SIGNATURE_TAG,
    UnsignedVersionError,
    require_signed,
)
from holdfast.models.registered_version import RegisteredVersion
from holdfast.models.registry_client import RegistryClient
from services.models.model_selector import ModelSelector, NamedVersions
from tests.support.registry import Registry, make_registry


@pytest.fixture
def registry(data_dir: Path) -> Registry:
    """A registry with three versions, of which 1 is champion and 2 is challenger, both by a flow."""
    found = make_registry(data_dir / "mlflow")
    for seed in range(3):
        found.register_model(seed=seed)
    set_champion(found.client, "1")
    set_challenger(found.client, "2")
    return found


def served(registry: Registry) -> tuple[str | None, dict[str, Any]]:
    """Return the champion that a new service serves, and the versions that it refuses."""
    client = RegistryClient(registry.uri)
    selector = ModelSelector(client.download_model, lambda _contract: None, None)
    selector.reconcile(NamedVersions(client.get_by_alias(CHAMPION), None))
    return selector.models.champion.contract.model_version if selector.models else None, selector.problems


def copy_signature(registry: Registry) -> None:
    tags = registry.client.get_model_version(MODEL_NAME, "1").tags
    registry.client.set_model_version_tag(MODEL_NAME, "3", SIGNATURE_TAG, tags[SIGNATURE_TAG])
    registry.set_alias(CHAMPION, "3")


def edit_statement(registry: Registry) -> None:
    signature = json.loads(registry.client.get_model_version(MODEL_NAME, "1").tags[SIGNATURE_TAG])
    signature["statement"] = signature["statement"].replace('"version": "1"', '"version": "3"')
    registry.client.set_model_version_tag(MODEL_NAME, "3", SIGNATURE_TAG, json.dumps(signature))
    registry.set_alias(CHAMPION, "3")


def replace_contract(registry: Registry) -> None:
    other = registry.client.get_model_version(MODEL_NAME, "3").tags[SERVED_MODEL_TAG]
    registry.client.set_model_version_tag(MODEL_NAME, "1", SERVED_MODEL_TAG, other)


ATTACKS: dict[str, tuple[Callable[[Registry], Any], str]] = {
    "alias moved": (lambda registry: registry.set_alias(CHAMPION, "3"), "has no signature"),
    "challenger made champion": (lambda registry: registry.set_alias(CHAMPION, "2"), "signed as challenger only"),
    "signature of another version": (copy_signature, "the signature of another version"),
    "statement changed": (edit_statement, "is not signed by a key"),
    "contract replaced": (replace_contract, "was changed since it was signed: contract"),
    "threshold changed": (
        lambda registry: registry.client.set_model_version_tag(
            MODEL_NAME,
            "1",
            SERVED_MODEL_TAG,
            registry.client.get_model_version(MODEL_NAME, "1").tags[SERVED_MODEL_TAG].replace("0.5", "0.9", 1),
        ),
        "was changed since it was signed: contract",
    ),
    "record of the promotion forged": (
        lambda registry: registry.client.set_model_version_tag(MODEL_NAME, "1", "holdfast.promotion", '{"who": "Ann"}'),
        "was changed since it was signed: promotion",
    ),
    "signature deleted": (
        lambda registry: registry.client.delete_model_version_tag(MODEL_NAME, "1", SIGNATURE_TAG),
        "has no signature",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_changed_registry_is_not_followed(name: str, registry: Registry) -> None:
    """The service reports the version as refused, which raises HoldfastVersionRefused; flows raise."""
    assert served(registry) == ("1", {})
    attack, reason = ATTACKS[name]
    attack(registry)
    champion, problems = served(registry)
    assert champion is None
    (problem,) = problems.values()
    assert reason in problem.reason
    with pytest.raises(UnsignedVersionError, match=reason):
        RegistryClient(registry.uri).download_by_alias(CHAMPION)


def test_service_keeps_the_signed_champion(registry: Registry) -> None:
    client = RegistryClient(registry.uri)
    selector = ModelSelector(client.download_model, lambda _contract: None, None)
    selector.reconcile(NamedVersions(client.get_by_alias(CHAMPION), None))
    registry.set_alias(CHAMPION, "3")
    selector.reconcile(NamedVersions(client.get_by_alias(CHAMPION), None))
    assert selector.models is not None
    assert (selector.models.champion.contract.model_version, list(selector.problems)) == ("1", ["3"])
    set_champion(registry.client, "3")
    selector.reconcile(NamedVersions(client.get_by_alias(CHAMPION), None))
    assert (selector.models.champion.contract.model_version, selector.problems) == ("3", {})


def test_challenger_needs_a_signature(registry: Registry) -> None:
    client = RegistryClient(registry.uri)
    require_signed(client.get_by_alias(CHALLENGER), CHALLENGER)
    registry.set_alias(CHALLENGER, "3")
    with pytest.raises(UnsignedVersionError, match="has no signature"):
        require_signed(client.get_by_alias(CHALLENGER), CHALLENGER)


def test_rotated_key_still_verifies_until_it_is_removed(registry: Registry, data_dir: Path) -> None:
    file = data_dir / "local" / "promotion-keys"
    old = file.read_text().strip()
    file.write_text(f"# newest first\nnew-key-of-many-characters\n{old}\n")
    assert served(registry)[0] == "1"
    set_champion(registry.client, "2")
    file.write_text("new-key-of-many-characters\n")
    assert served(registry)[0] == "2"
    registry.set_alias(CHAMPION, "1")
    assert served(registry)[0] is None


def test_first_key_signs_the_champion_of_before(data_dir: Path) -> None:
    """A registry of an earlier release: its champion is served before and after the first training."""
    registry = make_registry(data_dir / "mlflow")
    for seed in range(2):
        registry.register_model(seed=seed)
    registry.set_alias(CHAMPION, "1")
    assert served(registry)[0] == "1"
    set_challenger(registry.client, "2")
    assert served(registry)[0] == "1"


@pytest.mark.parametrize("content", [None, "", "# none\n"])
def test_named_file_without_keys_follows_no_alias(
    content: str | None, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_PROMOTION_KEYS_FILE", str(tmp_path / "keys"))
    if content is not None:
        (tmp_path / "keys").touch(0o600)
        (tmp_path / "keys").write_text(content)
    with pytest.raises(UnsignedVersionError, match="cannot be verified"):
        require_signed(RegisteredVersion("1", {}), CHAMPION)


def test_keys_that_others_can_read_are_refused(registry: Registry, data_dir: Path) -> None:
    (data_dir / "local" / "promotion-keys").chmod(0o644)
    assert served(registry)[0] is None


def test_key_is_in_no_tag(registry: Registry, data_dir: Path) -> None:
    key = (data_dir / "local" / "promotion-keys").read_text().strip()
    versions: list[SimpleNamespace] = registry.client.search_model_versions(f"name = '{MODEL_NAME}'")
    assert len(versions) == 3
    assert not [item for item in versions if key in str(item.tags)]


def test_container_without_keys_follows_no_alias(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The data folder of a container is not that of the flows: a missing file is a forgotten mount."""
    version = RegisteredVersion("1", {})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    require_signed(version, CHAMPION)
    monkeypatch.setenv("BENTOML_CONTAINERIZED", "true")
    with pytest.raises(UnsignedVersionError, match="this container has no keys"):
        require_signed(version, CHAMPION)
    monkeypatch.setenv("HOLDFAST_PROMOTION_KEYS_FILE", str(tmp_path / "keys"))
    with pytest.raises(UnsignedVersionError, match="cannot be verified"):
        require_signed(version, CHAMPION)
