"""The flow: materialise, prove, and heal what was found broken."""

from datetime import timedelta
from pathlib import Path

import pytest
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import list_versions, register_version
from holdfast.feature_store.materialization import load_online_state
from holdfast.feature_store.parity import ParityError, check_parity
from holdfast.feature_store.snapshots import NoDataError, build_snapshots, read_customers
from tests.support.definition_changes import change_window
from tests.support.online_values import HISTORY, write_online_values
from tests.support.small_shop import (
    AS_OF,
    KNOWN_AT,
    join_process,
    prefect_api,
    registered_store,
    start_process,
    use_data_folder,
)


def test_features_parity_mismatch_fails_and_next_run_repairs_it(flows_in_process: None, shop: Settings) -> None:
    from prefect.artifacts import Artifact

    from flows.features import features

    result = features(AS_OF, KNOWN_AT)
    first = result.current
    assert (result.as_of, first.known_at, first.materialized) == (AS_OF, KNOWN_AT, True)
    assert (first.parity.values_compared, first.parity.mismatches) == (6300, 0)
    again = features(AS_OF, KNOWN_AT + timedelta(days=1)).current
    assert again.materialized is False
    assert again.parity == first.parity

    write_online_values("c042", HISTORY, {"total_amount": Value(double_val=-1.0)})
    with pytest.raises(ParityError, match=f"customer c042, {HISTORY}:total_amount: online -1.0, offline"):
        features(AS_OF, KNOWN_AT)
    artifact = Artifact.get("parity-mismatches")
    assert artifact is not None
    assert '"customer": "c042"' in artifact.data
    assert f'"feature": "{HISTORY}:total_amount"' in artifact.data

    healed = features(AS_OF, KNOWN_AT)
    assert healed.current.materialized is True
    assert healed.current.parity.mismatches == 0


def test_features_without_apply_does_not_change_definitions(
    flows_in_process: None, shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feature_repo.feature_services import churn_v1
    from flows.features import features

    first = features(AS_OF - timedelta(days=1), KNOWN_AT, apply=False)  # an empty registry takes them
    before = (shop.feast / "registry.db").read_bytes()
    monkeypatch.setattr(churn_v1, "description", "Another description.")
    second = features(AS_OF, KNOWN_AT, apply=False)
    assert (second.current.version, second.current.materialized) == (first.current.version, True)
    assert (shop.feast / "registry.db").read_bytes() == before
    features(AS_OF, KNOWN_AT)
    assert open_store().get_feature_service("churn_v1").description == "Another description."


def test_features_with_changed_definitions_fills_both_versions(flows_in_process: None, shop: Settings) -> None:
    from flows.features import features

    first = features(AS_OF - timedelta(days=1), KNOWN_AT).current.version
    store = open_store()
    change_window(store)
    second = register_version(open_store())
    result = features(AS_OF, KNOWN_AT, apply=False)
    assert {item.version for item in result.versions} == {first, second}
    assert [(item.materialized, item.parity.mismatches) for item in result.versions] == [(True, 0)] * 2
    assert f"version {first} materialized" in result.state_summary


def test_features_broken_version_does_not_stop_the_other(flows_in_process: None, shop: Settings) -> None:
    from flows.features import features

    first = features(AS_OF - timedelta(days=1), KNOWN_AT).current.version
    store = open_store()
    change_window(store, sql="SELECT * FROM no_such_table")
    second = register_version(open_store())
    with pytest.raises(Exception, match="no_such_table"):
        features(AS_OF, KNOWN_AT, apply=False)
    state = load_online_state(shop, first)
    assert state is not None and state.as_of == AS_OF
    assert load_online_state(shop, second) is None


def test_features_broken_transformation_is_not_registered(
    flows_in_process: None, shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feature_repo import feature_views
    from feature_repo.snapshot_view import snapshot_digest
    from flows.features import features

    first = features(AS_OF - timedelta(days=1), KNOWN_AT).current.version
    view, sql = feature_views.customer_recent_activity, "SELECT * FROM no_such_table"
    source = view.batch_source
    folder = Path(source.path).with_name(snapshot_digest(view, sql))
    monkeypatch.setattr(source, "tags", source.tags | {"sql": sql})
    monkeypatch.setattr(source.file_options, "uri", str(folder))
    with pytest.raises(Exception, match="no_such_table"):
        features(AS_OF, KNOWN_AT)
    assert list_versions(shop) == [first]
    assert features(AS_OF, KNOWN_AT, apply=False).current.materialized


def test_features_without_data_raises(flows_in_process: None, tmp_path: object) -> None:
    from flows.features import features

    with use_data_folder(tmp_path / "empty"), pytest.raises(NoDataError, match=r"python -m flows\.ingest"):  # type: ignore[operator]
        features(AS_OF)


def test_features_as_of_with_microseconds_raises(flows_in_process: None, shop: Settings) -> None:
    from flows.features import features

    with pytest.raises(ValueError, match="online stores hold whole seconds"):
        features(AS_OF + timedelta(microseconds=1))


def _features() -> None:
    from flows.features import features

    assert features(AS_OF, KNOWN_AT).current.parity.mismatches == 0


def test_features_two_concurrent_runs_both_succeed(prefect_server: None, shop: Settings) -> None:

    children = [start_process(_features, shop.data, api=prefect_api()) for _ in range(2)]
    assert [join_process(child) for child in children] == [0, 0]
    customers = read_customers(build_snapshots(shop, registered_store(), AS_OF, KNOWN_AT)[0])
    assert check_parity(registered_store(), registered_store(KNOWN_AT), customers, AS_OF).mismatches == 0
