"""Versions of the feature definitions in an SQL registry, which holds all projects."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import list_versions, open_version, register_version
from holdfast.feature_store.materialization import load_online_state
from holdfast.feature_store.missing_versions import RetiredVersionError
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import read_customers
from holdfast.feature_store.version_retirement import retire_version
from tests.support.definition_changes import change_window
from tests.support.definition_versions import materialize_version
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, copy_shop, registered_store, use_data_folder
from tests.support.sql_registry import sql_registry

pytestmark = pytest.mark.long


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


@pytest.fixture
def shop(tmp_path: Path, database: Path) -> Iterator[Settings]:
    """Data folder with one version, whose registry is a database."""
    with use_data_folder(copy_shop(tmp_path), **sql_registry(tmp_path, database)) as settings:
        build_features(settings)
        yield settings


def _rows_of(database: Path, project: str) -> int:
    """Count the rows of a project in all tables."""
    engine = sa.create_engine(f"sqlite:///{database}")
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return sum(
            connection.execute(sa.select(sa.func.count()).where(table.c.project_id == project)).scalar_one()
            for table in tables.tables.values()
            if "project_id" in table.c
        )


def test_retirement_removes_the_project_and_its_name(shop: Settings, database: Path) -> None:
    (first,) = list_versions(shop)
    change_window(open_store())
    second = register_version(open_store())
    materialize_version(shop, second, AS_OF, KNOWN_AT)
    rows = _rows_of(database, f"holdfast_{first}")
    retire_version(shop, second, "a mistake")
    assert list_versions(shop) == [first]
    assert (_rows_of(database, f"holdfast_{second}"), _rows_of(database, f"holdfast_{first}")) == (0, rows)
    with pytest.raises(RetiredVersionError, match="a mistake"):
        open_version(shop, second)
    assert _rows_of(database, f"holdfast_{second}") == 0
    open_store(definitions=second)  # a service that is still running
    assert list_versions(shop) == [first]
    assert register_version(open_store()) == second
    materialize_version(shop, second, AS_OF, KNOWN_AT)
    retire_version(shop, second, "again")
    assert _rows_of(database, f"holdfast_{second}") == 0


def test_retirement_that_ended_before_the_registry_is_repeated(
    shop: Settings, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (version,) = list_versions(shop)
    with monkeypatch.context() as patch:
        patch.setattr("feast.infra.registry.sql.SqlRegistry.delete_project", _unreachable)
        with pytest.raises(OSError, match="unreachable"):
            retire_version(shop, version, "a test")
    assert list_versions(shop) == [version]
    retire_version(shop, version, "a test")
    assert (list_versions(shop), _rows_of(database, f"holdfast_{version}")) == ([], 0)


def test_registration_that_ended_early_is_no_version_and_is_repeated(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = list_versions(shop)
    change_window(open_store())
    with monkeypatch.context() as patch:
        patch.setattr("feast.infra.registry.sql.SqlRegistry.apply_feature_service", _unreachable)
        with pytest.raises(OSError, match="unreachable"):
            register_version(open_store())
    assert list_versions(shop) == [first]
    second = register_version(open_store())
    assert list_versions(shop) == sorted([first, second])
    materialize_version(shop, second, AS_OF, KNOWN_AT)
    state = load_online_state(shop, second)
    assert state is not None and state.as_of == AS_OF
    customers = read_customers(build_features(shop))
    assert check_parity(registered_store(), registered_store(KNOWN_AT), customers, AS_OF).mismatches == 0


def _unreachable(*_: object, **__: object) -> None:
    raise OSError("unreachable")
