"""Contract tests of the private names of Feast: a failure means that a new release of Feast changed the name."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from feast.infra.offline_stores import duckdb
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.infra.registry.file import FileRegistryStore
from feast.repo_config import RegistryConfig

import holdfast
from feature_repo.feature_views import customer_purchase_rhythm
from holdfast.feast_stores import _feast_private
from holdfast.feast_stores._feast_private import OVERRIDDEN, redis_fields, registry_path

SIGNATURES = {
    "_write_registry": ["self", "registry_proto"],
    "_generate_redis_keys_for_entities": ["self", "config", "entity_keys"],
    "_get_client": ["self", "online_store_config"],
    "_get_conn": ["self", "config"],
    "_get_db_path": ["config"],
}


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in OVERRIDDEN.items() for name in names])
def test_feast_overridden_method_has_the_same_parameters(owner: str, name: str) -> None:
    module, _, class_name = owner.rpartition(".")
    method = getattr(getattr(importlib.import_module(module), class_name), name)
    assert list(inspect.signature(method).parameters) == SIGNATURES[name]


def test_read_data_source_and_write_data_source_take_source_and_folder() -> None:
    assert list(inspect.signature(duckdb._read_data_source).parameters) == ["data_source", "repo_path"]
    assert list(inspect.signature(duckdb._write_data_source).parameters)[:3] == ["table", "data_source", "repo_path"]


def test_redis_fields_are_one_hash_per_feature_without_the_time() -> None:
    names = redis_fields(RedisOnlineStore(), customer_purchase_rhythm, ["mean_gap_days", "max_gap_days"], "rhythm_v2")
    assert len(set(names)) == 2
    assert all(isinstance(name, bytes) and len(name) == 4 for name in names)


def test_read_hash_fields_takes_pairs_of_key_and_fields() -> None:
    assert list(inspect.signature(RedisOnlineStore._read_hash_fields).parameters) == ["self", "config", "commands"]


def test_redis_client_is_none_before_its_first_use() -> None:
    assert RedisOnlineStore()._client is None


def test_registry_path_is_that_of_the_configuration(tmp_path: Path) -> None:
    assert registry_path(FileRegistryStore(RegistryConfig(path="registry.db"), tmp_path)) == tmp_path / "registry.db"


def test_library_imports_private_names_of_feast_in_one_module_only() -> None:
    root = Path(holdfast.__file__).parent
    found = [
        f"{path.relative_to(root)}: {alias.name}"
        for path in root.rglob("*.py")
        if path != Path(_feast_private.__file__)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("feast")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert found == []
