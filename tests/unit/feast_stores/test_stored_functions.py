"""Attacks on Feast's registry: a person who can write it must not run code in the service or in a flow."""

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.transformation import udf_rehydrate

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.core.definition_hashes import list_on_demand_views
from holdfast.feast_stores.open_store import open_store, version_folder
from holdfast.feast_stores.stored_functions import StoredCodeError, StoredFunction, refuse_other_code
from holdfast.feature_store.definition_versions import applied_version, open_version
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.feature_store.snapshots import NoTransformationError, build_snapshots
from tests.support.definition_versions import only_version
from tests.support.small_shop import AS_OF, KNOWN_AT

VIEW = "customer_request_time"
INPUTS = ("as_of_us", "purchase_days", "first_purchase_us", "last_purchase_us", "mean_gap_days")


class _Trap:
    """Pickle that creates a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """Folder that an attack creates when its code runs; no attack may succeed."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists(), "code of the registry was executed"


def _change(data: Path, version: str | None, change: Callable[[Registry], None]) -> None:
    """Change the file of a registry as another program would."""
    file = data / (version_folder(version) if version else Path("feast")) / "registry.db"
    registry = Registry.FromString(file.read_bytes())
    change(registry)
    file.write_bytes(registry.SerializeToString())


def _function(registry: Registry) -> Any:
    (view,) = [item for item in registry.on_demand_feature_views if item.spec.name == VIEW]
    return view.spec.feature_transformation.user_defined_function


def _call(version: str | None) -> Any:
    store = open_store(definitions=version)
    (view,) = [item for item in store.list_on_demand_feature_views() if item.name == VIEW]
    assert view.feature_transformation is not None
    return view.feature_transformation.udf({name: [] for name in INPUTS})


def _edits(mark: Path) -> dict[str, Callable[[str], str]]:
    run = f"__import__('os').mkdir({str(mark)!r})"
    return {
        "statement in the function": lambda text: text.replace("    import math", f"    {run}\n    import math", 1),
        "statement before": lambda text: f"{run}\n{text}",
        "default of a parameter": lambda text: text.replace("inputs: dict", f"inputs=({run}, 0)[1], *, x: dict", 1),
        "annotation": lambda text: text.replace("-> dict[str, list[Any]]", f"-> {run}", 1),
    }


@pytest.mark.parametrize("name", list(_edits(Path())))
@pytest.mark.parametrize("is_version", [True, False])
def test_changed_source_is_not_executed(name: str, is_version: bool, open_shop: Settings, mark: Path) -> None:
    version = only_version(open_shop.data) if is_version else None
    edit = _edits(mark)[name]

    def change(registry: Registry) -> None:
        before = _function(registry).body_text
        _function(registry).body_text = edit(before)
        assert _function(registry).body_text != before

    _change(open_shop.data, version, change)
    assert FEATURE_SERVICE in [item.name for item in open_store(definitions=version).list_feature_services()]
    with pytest.raises(StoredCodeError, match="is not executed"):
        _call(version)


def test_decorators_which_the_hash_does_not_cover_are_not_executed(open_shop: Settings, mark: Path) -> None:
    version = only_version(open_shop.data)

    def change(registry: Registry) -> None:
        text = _function(registry).body_text
        decorator = f"@(lambda function: __import__('os').mkdir({str(mark)!r}))\n"
        _function(registry).body_text = text[text.index("def ") :].join((decorator, ""))

    _change(open_shop.data, version, change)
    assert set(_call(version)) >= {"tenure_days", "silence_share"}


@pytest.mark.parametrize("is_version", [True, False])
def test_pickle_is_not_loaded(is_version: bool, open_shop: Settings, mark: Path) -> None:
    """Feast loads it where the source cannot be executed."""
    version = only_version(open_shop.data) if is_version else None

    def change(registry: Registry) -> None:
        _function(registry).body = pickle.dumps(_Trap(mark))
        _function(registry).body_text = "def broken("

    _change(open_shop.data, version, change)
    with pytest.raises(StoredCodeError, match="is no Python"):
        _call(version)


def test_added_view_is_not_executed(open_shop: Settings, mark: Path) -> None:
    """The feature service does not read it, so the id of the version does not cover it."""
    version = only_version(open_shop.data)

    def change(registry: Registry) -> None:
        added = OnDemandFeatureView()
        added.CopyFrom(registry.on_demand_feature_views[0])
        added.spec.name = "added"
        function = added.spec.feature_transformation.user_defined_function
        function.body_text = f"def added(inputs):\n    __import__('os').mkdir({str(mark)!r})\n    return inputs"
        function.name = "added"
        registry.on_demand_feature_views.append(added)

    _change(open_shop.data, version, change)
    store = open_version(open_shop, version)
    (added,) = [view for view in store.list_on_demand_feature_views() if view.name == "added"]
    assert added.feature_transformation is not None
    with pytest.raises(StoredCodeError, match="is not executed"):
        added.feature_transformation.udf({})


def test_apply_of_the_checkout_replaces_a_changed_function(open_shop: Settings, mark: Path) -> None:
    def change(registry: Registry) -> None:
        _function(registry).body_text = _edits(mark)["statement before"](_function(registry).body_text)

    _change(open_shop.data, None, change)
    assert VIEW in apply_definitions(open_store())
    assert set(_call(None)) >= {"tenure_days"}
    assert applied_version(open_store()) == only_version(open_shop.data)


@pytest.mark.parametrize("form", ["stream view", "substrait", "no transformation"])
def test_other_forms_of_code_are_refused(form: str, mark: Path) -> None:
    registry = Registry()
    if form == "stream view":
        registry.stream_feature_views.add().spec.user_defined_function.body = pickle.dumps(_Trap(mark))
    else:
        view = registry.on_demand_feature_views.add()
        view.spec.user_defined_function.body = pickle.dumps(_Trap(mark))
        if form == "substrait":
            transformation = view.spec.feature_transformation.substrait_transformation
            transformation.ibis_function = pickle.dumps(_Trap(mark))
    with pytest.raises(StoredCodeError, match="no source of a Python function"):
        refuse_other_code(registry)


def test_changed_sql_is_not_executed(open_shop: Settings, mark: Path) -> None:
    """The hash covers the folder of a view's snapshots, which is named after its SQL."""
    version = only_version(open_shop.data)

    def change(registry: Registry) -> None:
        for view in registry.feature_views:
            view.spec.batch_source.tags["sql"] = f"COPY (SELECT 1) TO '{mark}'"
        for source in registry.data_sources:
            source.tags["sql"] = f"COPY (SELECT 1) TO '{mark}'"

    _change(open_shop.data, version, change)
    with pytest.raises(NoTransformationError, match=r"was changed by other means\. It is not executed"):
        build_snapshots(open_shop, open_version(open_shop, version), AS_OF, KNOWN_AT)


def test_resolve_udf_is_called_by_feast_with_the_parameters_of_its_replacement(open_shop: Settings) -> None:
    """Contract: Feast's transformations import this name when they read a registry."""
    assert udf_rehydrate.resolve_udf.__module__ == "holdfast.feast_stores.stored_functions"
    (view,) = list_on_demand_views(open_store(definitions=only_version(open_shop.data)))
    assert view.feature_transformation is not None
    assert isinstance(view.feature_transformation.udf, StoredFunction)
    assert view.feature_transformation.udf.__name__ == VIEW
