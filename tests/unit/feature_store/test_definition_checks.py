"""Checks of the names of features and views."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
from feast import FeatureService, FeatureView, Field, FileSource, OnDemandFeatureView
from feast.transformation.python_transformation import PythonTransformation
from feast.types import Int64, String
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from feature_repo.entities import customer
from feature_repo.settings import Settings
from holdfast.cli.plan import plan
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_checks import RESERVED_NAMES, FeatureNameError, check_definitions
from holdfast.feature_store.definition_versions import list_versions, open_version, register_version
from holdfast.feature_store.feast_registry import apply_definitions, collect_definitions
from holdfast.feature_store.materialization import materialize
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import build_snapshots, read_customers
from tests.support.definition_versions import version_files
from tests.support.edited_definitions import Edits, edited_definitions, new_view
from tests.support.small_shop import AS_OF, KNOWN_AT, register_definitions

_NAMES = st.sampled_from(["a", "A", "b", "B", "as_of", "As_Of", "known_at", "as_of_us", "event_timestamp", "total"])


def _stored_view(name: str, fields: list[str]) -> FeatureView:
    source = FileSource(name=f"{name}_source", path="unused", timestamp_field="as_of")
    schema = [Field(name="customer_id", dtype=String), *(Field(name=field, dtype=Int64) for field in fields)]
    return FeatureView(name=name, entities=[customer], schema=schema, source=source)


def _on_demand_view(source: Any, outputs: list[str]) -> OnDemandFeatureView:
    return OnDemandFeatureView(
        name="computed",
        sources=[source],
        schema=[Field(name=name, dtype=Int64) for name in outputs],
        feature_transformation=PythonTransformation(udf=lambda inputs: inputs, udf_string="lambda inputs: inputs"),
        mode="python",
    )


_CONNECTION = duckdb.connect()


def _has_one_column_per_name(names: list[str]) -> bool:
    """Let DuckDB create a table with the columns."""
    columns = ", ".join(f'"{name}" BIGINT' for name in names)
    try:
        _CONNECTION.execute(f"CREATE OR REPLACE TEMP TABLE joined ({columns})")
    except duckdb.CatalogException:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_NAMES, min_size=1, max_size=2),
    st.lists(_NAMES, min_size=1, max_size=2),
    st.lists(_NAMES, min_size=1, max_size=2),
    st.booleans(),
)
def test_check_definitions_accepts_what_duckdb_can_join(
    first: list[str], second: list[str], outputs: list[str], second_is_input: bool
) -> None:
    a, b = _stored_view("view_a", first), _stored_view("view_b", second)
    computed = _on_demand_view(a[first[:1]], outputs)
    service = FeatureService(name="service", features=[a[first[-1:]], *([b] if second_is_input else []), computed])
    read = list(dict.fromkeys([first[-1], first[0]])) + (second if second_is_input else []) + outputs
    tables = [[*RESERVED_NAMES, *names] for names in (first, second, outputs, read)]
    try:
        check_definitions([customer], [a, b, computed], [service])
        accepted = True
    except FeatureNameError:
        accepted = False
    assert accepted == all(map(_has_one_column_per_name, tables))


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        (new_view("customer_copy", "amount_30d"), "customer_recent_activity:amount_30d and customer_copy:amount_30d"),
        (new_view("customer_copy", "AMOUNT_30D"), "customer_recent_activity:amount_30d and customer_copy:AMOUNT_30D"),
        (
            new_view("customer_copy", "First_Purchase_us"),
            "First_Purchase_us and customer_purchase_history:first_purchase",
        ),
        (new_view("customer_copy", "Known_at"), "customer_copy:Known_at, but known_at is the name of a column"),
        (
            new_view("Customer_Purchase_Rhythm", "copied"),
            "the name customer_purchase_rhythm or Customer_Purchase_Rhythm",
        ),
    ],
)
def test_names_that_cannot_be_read_are_refused_and_nothing_is_applied(
    open_shop: Settings, tmp_path: Path, edits: Edits, problem: str
) -> None:
    versions, before = list_versions(open_shop), (open_shop.feast / "registry.db").read_bytes()
    app = typer.Typer()
    app.command()(plan)
    with edited_definitions(tmp_path / "edited", edits):
        with pytest.raises(FeatureNameError, match=problem):
            apply_definitions(open_store())
        assert isinstance(CliRunner().invoke(app, []).exception, FeatureNameError)
    assert ((open_shop.feast / "registry.db").read_bytes(), list_versions(open_shop)) == (before, versions)


def test_names_that_feast_applied_are_not_registered(open_shop: Settings, tmp_path: Path) -> None:
    versions = list_versions(open_shop)
    with edited_definitions(tmp_path / "edited", new_view("customer_copy", "amount_30d")):
        contents = collect_definitions()
        store = open_store()
        store.apply([*contents.data_sources, *contents.feature_views, *contents.feature_services])
        with pytest.raises(FeatureNameError, match=r"churn_v1 reads two features of one name"):
            register_version(open_store())
    assert list_versions(open_shop) == versions


def test_names_that_are_words_of_sql_have_parity(open_shop: Settings, tmp_path: Path) -> None:
    first = version_files(open_shop.data).name
    with edited_definitions(tmp_path / "edited", new_view("customer_copy", "Select order group value")):
        version = register_definitions()
    assert version != first
    snapshot = build_snapshots(open_shop, open_version(open_shop, version), AS_OF, KNOWN_AT)[0]
    materialize(open_shop, version, snapshot)
    online, offline = open_version(open_shop, version), open_version(open_shop, version, snapshot.known_at)
    assert check_parity(online, offline, read_customers(snapshot), AS_OF).mismatches == 0
