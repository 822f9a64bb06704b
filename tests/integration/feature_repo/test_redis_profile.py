"""Tests of the Redis profile with flows and Feast's commands, and of changes between the two profiles."""

import contextlib
import io
from collections.abc import Iterator

import pytest
from feast.repo_operations import apply_total_with_repo_instance

from feature_repo.names import FEATURE_SERVICE
from feature_repo.timestamps import epoch_us
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.feast_registry import apply_definitions, collect_definitions, find_applied_version
from holdfast.feature_store.parity import check_parity, require_parity
from holdfast.online_features.reader import OnlineReader
from tests.support.main_job import environment_of, run
from tests.support.online_stores import CUSTOMERS, REDIS_PROFILE, OnlineShop, online_shop
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, register_definitions, registered_store


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineShop]:
    with online_shop("redis", tmp_path_factory.mktemp("redis")) as shop:
        yield shop


def test_redis_profile_online_values_equal_point_in_time_values(shop: OnlineShop) -> None:
    report = check_parity(registered_store(), registered_store(KNOWN_AT), CUSTOMERS, AS_OF)
    require_parity(report)
    assert report.values_compared == 300 * 21


def test_redis_profile_definitions_are_current_after_materialization(shop: OnlineShop) -> None:
    assert apply_definitions(open_store()) == "No changes"


def test_feast_apply_preserves_the_materialization_history(shop: OnlineShop) -> None:
    """For a store that is not SQLite it applies without a plan, and writes everything anew."""
    store = open_store()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        apply_total_with_repo_instance(
            store, store.project, store.registry, collect_definitions(), skip_source_validation=True
        )
    assert printed.getvalue().count("Deploying infrastructure") == 3
    views = registered_store().list_feature_views()
    assert [view.materialization_intervals for view in views] == [[(AS_OF, AS_OF)]] * 3
    assert apply_definitions(open_store()) == "No changes"
    assert not OnlineReader(registered_store(), FEATURE_SERVICE).read(CUSTOMERS, epoch_us(AS_OF)).faults.any()


@pytest.mark.long
def test_feast_plan_redis_profile_has_no_changes(shop: OnlineShop) -> None:
    assert shop.server is not None
    environment = environment_of(shop.settings.data) | {"HOLDFAST_REDIS": shop.server.connection_string}
    for named in (["-f", REDIS_PROFILE["FEAST_FS_YAML_FILE_PATH"], "plan"], ["plan"]):
        variables = environment if "-f" in named else environment | REDIS_PROFILE
        output = run(["feast", "-c", "feature_repo", *named], variables)
        assert output.splitlines() == ["No changes to registry", "No changes to infrastructure"]


def test_other_online_store_has_its_own_materialization_history(
    shop: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("FEAST_FS_YAML_FILE_PATH")
        assert open_store().config.online_store.type == "sqlite"
        assert open_store().list_feature_views() == []
        build_features(shop.settings)
        assert apply_definitions(open_store()) == "No changes"
        embedded = OnlineReader(registered_store(), FEATURE_SERVICE).read(CUSTOMERS, epoch_us(AS_OF))
    assert find_applied_version(shop.settings, open_store()) == register_definitions()
    assert open_store().config.online_store.type != "sqlite"
    assert apply_definitions(open_store()) == "No changes"
    redis = OnlineReader(registered_store(), FEATURE_SERVICE).read(CUSTOMERS, epoch_us(AS_OF))
    assert redis.inputs.tobytes() == embedded.inputs.tobytes()
    assert redis.timestamps_us.tobytes() == embedded.timestamps_us.tobytes()
