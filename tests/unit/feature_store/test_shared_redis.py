"""Two installations on one Redis server."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from feature_repo.timestamps import NO_TIME
from holdfast.feature_store.definition_versions import list_versions, open_version
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import read_customers
from holdfast.feature_store.version_retirement import retire_version
from holdfast.online_features.reader import OnlineReader
from tests.support.online_stores import CUSTOMERS, REDIS_PROFILE
from tests.support.redis_server import FaultyRedisServer, temporary_redis
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, copy_shop, registered_store, use_data_folder


@pytest.fixture
def server() -> Iterator[FaultyRedisServer]:
    with temporary_redis() as found:
        yield found


def _variables(server: FaultyRedisServer, **more: str) -> dict[str, str]:
    return REDIS_PROFILE | {"HOLDFAST_REDIS": server.connection_string} | more


def _fill(settings: Settings) -> str:
    """Fill the online store, check the parity and return the id of the version."""
    snapshot = build_features(settings)
    report = check_parity(registered_store(), registered_store(KNOWN_AT), read_customers(snapshot), AS_OF)
    assert (report.mismatches, report.values_compared) == (0, 300 * 21)
    (version,) = list_versions(settings)
    return version


def _count_known(settings: Settings, version: str) -> int:
    times = OnlineReader(open_version(settings, version), FEATURE_SERVICE).fetch(CUSTOMERS).times_us
    return sum(NO_TIME not in row for row in zip(*times, strict=True))


def _contents(server: FaultyRedisServer) -> dict[bytes, Any]:
    client = server.client()
    return {key: client.hgetall(key) for key in client.scan_iter(count=1000) if not key.startswith(b"holdfast:")}


@pytest.mark.parametrize("made", ["new", "copied", "named"])
def test_two_installations_with_one_definition_read_and_delete_their_own_values(
    server: FaultyRedisServer, tmp_path: Path, made: str
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    named = ({"HOLDFAST_INSTALLATION": "one"}, {"HOLDFAST_INSTALLATION": "two"}) if made == "named" else ({}, {})
    with use_data_folder(copy_shop(first), **_variables(server, **named[0])) as settings:
        version = _fill(settings)
    values = _contents(server)
    assert len(values) == 300
    data = copy_shop(second) if made == "new" else Path(shutil.copytree(first / "data", second / "data"))
    with use_data_folder(data, **_variables(server, **named[1])) as settings:
        assert _fill(settings) == version
        assert len(_contents(server)) == 600
        retire_version(settings, version, "a test")
    assert _contents(server) == values
    with use_data_folder(first / "data", **_variables(server, **named[0])) as settings:
        assert _count_known(settings, version) == 300


def test_retirement_in_a_copy_leaves_the_values_of_the_original(server: FaultyRedisServer, tmp_path: Path) -> None:
    with use_data_folder(copy_shop(tmp_path), **_variables(server)) as settings:
        version = _fill(settings)
    values = _contents(server)
    copy = Path(shutil.copytree(tmp_path / "data", tmp_path / "copy"))
    with use_data_folder(copy, **_variables(server)) as settings:
        retire_version(settings, version, "a test")
        assert list_versions(settings) == []
    assert _contents(server) == values


def test_moved_data_folder_reads_its_values(server: FaultyRedisServer, tmp_path: Path) -> None:
    with use_data_folder(copy_shop(tmp_path), **_variables(server)) as settings:
        version = _fill(settings)
    values = _contents(server)
    with use_data_folder((tmp_path / "data").rename(tmp_path / "moved"), **_variables(server)) as settings:
        assert _count_known(settings, version) == 300
        assert _fill(settings) == version
        assert _contents(server) == values
        retire_version(settings, version, "a test")
    assert _contents(server) == {}


def test_emptied_name_of_the_installation_is_written_again(server: FaultyRedisServer, tmp_path: Path) -> None:
    with use_data_folder(copy_shop(tmp_path), **_variables(server)) as settings:
        _fill(settings)
        (settings.feast / "installation.json").write_text("")
        assert _count_known(settings, _fill(settings)) == 300
