"""Changes of the feature definitions by edits of feature_repo/."""

from pathlib import Path

import pandera.errors
import pytest

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_checks import EntityKeyError
from holdfast.feature_store.definition_versions import list_versions, open_version
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.feature_store.materialization import materialize
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import build_snapshots, read_customers
from tests.support.definition_versions import version_files
from tests.support.edited_definitions import CHANGES, KEY_RENAMED, NOT_NULLABLE, UNREAD, Edits, edited_definitions
from tests.support.small_shop import AS_OF, KNOWN_AT, register_definitions

pytestmark = pytest.mark.long


def _read_files(settings: Settings) -> dict[Path, bytes]:
    folders = (version_files(settings.data), settings.snapshots)
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def _count_mismatches(settings: Settings, version: str) -> int:
    snapshot = build_snapshots(settings, open_version(settings, version), AS_OF, KNOWN_AT)[0]
    materialize(settings, version, snapshot)
    online, offline = open_version(settings, version), open_version(settings, version, snapshot.known_at)
    return check_parity(online, offline, read_customers(snapshot), AS_OF).mismatches


@pytest.mark.parametrize("edits", CHANGES.values(), ids=CHANGES)
def test_changed_definitions_are_a_version_beside_the_first(open_shop: Settings, tmp_path: Path, edits: Edits) -> None:
    first, before = version_files(open_shop.data).name, _read_files(open_shop)
    with edited_definitions(tmp_path / "edited", edits):
        second = register_definitions()
        assert list_versions(open_shop) == sorted({first, second})
        assert second != first
        assert [_count_mismatches(open_shop, version) for version in (first, second)] == [0, 0]
    assert {path: path.read_bytes() for path in before} == before
    assert register_definitions() == first  # of the restored definitions
    assert list_versions(open_shop) == sorted({first, second})
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("edits", UNREAD.values(), ids=UNREAD)
def test_change_without_an_effect_on_values_is_no_version(open_shop: Settings, tmp_path: Path, edits: Edits) -> None:
    first, before = version_files(open_shop.data).name, _read_files(open_shop)
    with edited_definitions(tmp_path / "edited", edits):
        assert register_definitions() == first
    assert list_versions(open_shop) == [first]
    assert {path: path.read_bytes() for path in before} == before


def test_renamed_entity_key_raises_and_applies_nothing(open_shop: Settings, tmp_path: Path) -> None:
    before = (open_shop.feast / "registry.db").read_bytes()
    with edited_definitions(tmp_path / "edited", KEY_RENAMED), pytest.raises(EntityKeyError, match="client_id"):
        apply_definitions(open_store())
    assert (open_shop.feast / "registry.db").read_bytes() == before


def test_field_that_may_no_longer_be_null_is_checked_again(open_shop: Settings, tmp_path: Path) -> None:
    with edited_definitions(tmp_path / "edited", NOT_NULLABLE):
        apply_definitions(open_store())
        with pytest.raises(pandera.errors.SchemaErrors, match="mean_gap_days"):
            build_snapshots(open_shop, open_store(), AS_OF, KNOWN_AT)
