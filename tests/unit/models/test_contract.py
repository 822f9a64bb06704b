"""Tests of fingerprint, contract and input matrix."""

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from feature_repo import source_hash
from feature_repo.names import FEATURE_SERVICE
from feature_repo.source_hash import strip_formatting, transformations_version
from holdfast.feast_stores.open_store import open_store
from holdfast.feast_stores.settings import FEATURE_REPO
from holdfast.models.categories import category_code
from holdfast.models.contract import (
    Feature,
    MissingFeatureError,
    ServedModel,
    freshness_limits,
    input_matrix,
    model_inputs,
)
from holdfast.models.fingerprint import DECLARATION_TAGS, differing_parts, fingerprint
from tests.support.small_shop import use_data_folder

PARTS = ["feature_service", "labels", "on_demand", "transformations"]
Change = Callable[[Any], object]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """A registry of the test's own; no data."""
    from holdfast.feature_store.feast_registry import apply_definitions

    with use_data_folder(tmp_path / "data"):
        apply_definitions(open_store())
        yield open_store()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the source files that the fingerprint reads, to be edited."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in ("transformations.py", "labels.py"):
        shutil.copy(FEATURE_REPO / name, folder / name)
    monkeypatch.setattr(source_hash, "_FOLDER", folder)
    return folder


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{old!r} is no longer in {path.name}: choose another edit"
    path.write_text(text.replace(old, new, 1))


def _prints(store: Any) -> dict[str, str]:
    store.refresh_registry()
    return fingerprint(store, 90, 180)


def test_fingerprint_has_four_parts_and_is_stable(store: Any) -> None:
    first = _prints(store)
    assert sorted(first) == PARTS
    assert all(len(value) == 64 for value in first.values())
    assert len(set(first.values())) == 4
    assert fingerprint(open_store(), 90, 180) == first


def _apply_transformations(store: Any) -> None:
    """Register the folder of the snapshots of the current transformations, as `feast apply` does."""
    for view in store.list_feature_views():
        options = view.batch_source.file_options
        options.uri = str(Path(options.uri).with_name(transformations_version()))
        store.registry.apply_feature_view(view, store.project)


@pytest.mark.parametrize(
    ("file", "old", "new", "part"),
    [
        ("transformations.py", "transactions.amount > 0", "transactions.amount >= 0", "transformations"),
        ("transformations.py", "(30, 90, 180)", "(30, 60, 180)", "transformations"),
        ("transformations.py", '"decimal(38, 6)"', '"decimal(38, 4)"', "transformations"),
        ("labels.py", ">= times.cutoff", "> times.cutoff", "labels"),
    ],
)
def test_fingerprint_changed_computation_changes_its_part(
    store: Any, sources: Path, file: str, old: str, new: str, part: str
) -> None:
    before, version = _prints(store), transformations_version()
    _edit(sources / file, old, new)
    if part == "transformations":  # serving reads the applied definitions, not its own source
        assert differing_parts(before, _prints(store)) == []
        _apply_transformations(store)
    assert differing_parts(before, _prints(store)) == [part]
    assert (transformations_version() != version) == (part == "transformations")


@pytest.mark.parametrize("file", ["transformations.py", "labels.py"])
def test_fingerprint_comments_docstrings_and_layout_have_no_effect(store: Any, sources: Path, file: str) -> None:
    before, version = _prints(store), transformations_version()
    path = sources / file
    text = path.read_text()
    _edit(path, '"""', '"""Other text. ')
    _edit(path, "\n\n\ndef ", "\n\n\n\n# A comment.\ndef ")
    _edit(path, "    return ", "    # Another.\n\n    return ")
    _edit(path, '    """', '    """Other text. ')
    assert path.read_text() != text
    assert differing_parts(before, _prints(store)) == []
    assert transformations_version() == version


@pytest.mark.parametrize(("horizon", "activity"), [(91, 180), (90, 181), (180, 90)])
def test_fingerprint_changed_label_definition_changes_labels(store: Any, horizon: int, activity: int) -> None:
    assert differing_parts(_prints(store), fingerprint(store, horizon, activity)) == ["labels"]


def _on_demand(store: Any, old: str, new: str) -> None:
    view = store.get_on_demand_feature_view("customer_request_time")
    source = view.feature_transformation.udf_string
    assert old in source
    view.feature_transformation.udf_string = source.replace(old, new, 1)
    store.registry.apply_feature_view(view, store.project)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("since_last / gap", "gap / since_last", ["on_demand"]),
        ("day_us = 86_400_000_000", "day_us = 86_400_000_001", ["on_demand"]),
        ("day_us = 86_400_000_000", "day_us = 86400000000  # a day", []),
        ('"""Compute recency', '"""Determine recency', []),
    ],
)
def test_fingerprint_changed_on_demand_function_changes_on_demand(
    store: Any, old: str, new: str, parts: list[str]
) -> None:
    before = _prints(store)
    _on_demand(store, old, new)
    assert differing_parts(before, _prints(store)) == parts


def _reordered(store: Any) -> None:
    service = store.get_feature_service(FEATURE_SERVICE)
    service.feature_view_projections.reverse()
    store.registry.apply_feature_service(service, store.project)


def _one_less(store: Any) -> None:
    service = store.get_feature_service(FEATURE_SERVICE)
    service.feature_view_projections[0].features.pop()
    store.registry.apply_feature_service(service, store.project)


def _other_type(store: Any) -> None:
    from feast.types import Int64

    service = store.get_feature_service(FEATURE_SERVICE)
    field = service.feature_view_projections[1].features[-2]
    assert field.name == "amount_180d"
    field.dtype = Int64
    store.registry.apply_feature_service(service, store.project)


def _view(**values: Any) -> Change:
    def change(store: Any) -> None:
        view = store.get_feature_view("customer_purchase_rhythm")
        for name, value in values.items():
            setattr(view, name, value)
        store.registry.apply_feature_view(view, store.project)

    return change


def _service_described(store: Any) -> None:
    service = store.get_feature_service(FEATURE_SERVICE)
    service.description, service.owner = "Other text.", "owner@other.example"
    store.registry.apply_feature_service(service, store.project)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (_reordered, ["feature_service", "on_demand"][:1]),
        (_one_less, ["feature_service"]),
        (_other_type, ["feature_service"]),
        (_view(ttl=timedelta(days=31)), ["feature_service"]),
        (_view(tags={"soft_limit_hours": "48", "nullable": ""}), ["feature_service"]),
        (_view(description="Other text.", owner="owner@other.example"), []),
        (_service_described, []),
    ],
    ids=["order", "fewer", "type", "ttl", "nullable", "view described", "service described"],
)
def test_fingerprint_changed_definition_changes_its_part(store: Any, change: Change, parts: list[str]) -> None:
    before = _prints(store)
    change(store)
    assert differing_parts(before, _prints(store)) == parts


@pytest.mark.parametrize("tag", DECLARATION_TAGS)
def test_fingerprint_declaration_of_on_demand_feature_changes_on_demand(store: Any, tag: str) -> None:
    before = _prints(store)
    assert any(getattr(feature, tag) for feature in model_inputs(store) if feature.view == "customer_request_time")
    view = store.get_on_demand_feature_view("customer_request_time")
    view.tags = view.tags | {tag: ""}
    store.registry.apply_feature_view(view, store.project)
    after = _prints(store)
    assert not any(getattr(feature, tag) for feature in model_inputs(store) if feature.view == "customer_request_time")
    assert differing_parts(before, after) == ["on_demand"]


def test_declaration_tags_name_fields_of_their_view() -> None:
    from feature_repo import definitions

    declared = set()
    for view in vars(definitions).values():
        for tag in DECLARATION_TAGS:
            names = getattr(view, "tags", {}).get(tag)
            if names and hasattr(view, "features"):
                declared.add(tag)
                assert set(names.split(",")) <= {field.name for field in view.features}, (view.name, tag)
    assert declared == set(DECLARATION_TAGS)


def test_differing_parts_missing_part_differs() -> None:
    assert differing_parts({"a": "1", "b": "2"}, {"a": "1"}) == ["b"]
    assert differing_parts({"a": "1"}, {"a": "2", "c": "3"}) == ["a", "c"]
    assert differing_parts({}, {}) == []


def test_strip_formatting_preserves_behavior() -> None:
    source = 'def f(x):\n    """Doc."""\n    return x + 1  # why\n'
    assert strip_formatting(source) == strip_formatting("@decorated\ndef f( x ):\n\n    return (x+1)\n")
    assert strip_formatting(source) != strip_formatting("def f(x):\n    return x + 2\n")
    assert strip_formatting('def f():\n    """Only this."""\n') == strip_formatting("def f():\n    pass\n")
    assert strip_formatting('x = """not a docstring"""\n') != strip_formatting('x = """another"""\n')


class TestInputs:
    def test_model_inputs_are_those_of_the_feature_service_in_its_order(self, store: Any) -> None:
        inputs = model_inputs(store)
        names = [feature.name for feature in inputs]
        assert names[:3] == ["purchase_days", "total_amount", "mean_purchase_amount"]
        log_odds = [f"no_purchase_log_odds_{days}d" for days in (40, 60, 90)]
        silence = ["lateness_ratio", "silence_share", *log_odds]
        assert names[-7:] == ["days_since_last_purchase", "tenure_days", *silence]
        assert len(names) == len(set(names)) == 21
        assert [feature.name for feature in inputs if feature.log_odds] == log_odds
        assert [feature.name for feature in inputs if feature.increasing] == ["days_since_last_purchase", *silence]
        assert {feature.name for feature in inputs if feature.nullable} == {
            "mean_gap_days",
            "std_gap_days",
            "max_gap_days",
            "last_gap_days",
            "lateness_ratio",
        }

    def test_freshness_limits_are_those_of_the_views(self, store: Any) -> None:
        limits = freshness_limits(store)
        assert sorted(limits) == ["customer_purchase_history", "customer_purchase_rhythm", "customer_recent_activity"]
        for limit in limits.values():
            assert (limit.soft, limit.hard) == (timedelta(hours=48), timedelta(days=30))

    def test_freshness_limits_view_without_ttl_has_no_hard_limit(self, store: Any) -> None:
        _view(ttl=timedelta(0))(store)
        store.refresh_registry()
        assert freshness_limits(store)["customer_purchase_rhythm"].hard == timedelta.max


class TestServedModel:
    CONTRACT: ClassVar[dict[str, Any]] = {
        "model_name": "m",
        "model_version": "1",
        "feature_service": "s",
        "inputs": ["a", "b"],
        "reference": [1.5, None],
        "threshold": 0.5,
        "horizon_days": 90,
        "activity_days": 180,
        "fingerprint": {"labels": "0"},
        "model_sha256": "",
    }

    def test_served_model_written_and_read_is_equal(self) -> None:
        served = ServedModel(**self.CONTRACT)
        assert served.reference == [1.5, None]
        assert ServedModel.model_validate_json(served.model_dump_json()) == served

    def test_served_model_of_early_release_has_no_categories(self) -> None:
        written = ServedModel(**self.CONTRACT).model_dump()
        del written["categories"]
        assert ServedModel(**written).categories == {}

    def test_served_model_categories_of_no_input_raise(self) -> None:
        categories = {"b": {"known": ["x", ""], "rare": []}}
        served = ServedModel(**self.CONTRACT | {"categories": categories})
        assert ServedModel.model_validate_json(served.model_dump_json()) == served
        with pytest.raises(ValidationError, match="categories of c, which is no input"):
            ServedModel(**self.CONTRACT | {"categories": {"c": categories["b"]}})

    @pytest.mark.parametrize(
        ("reference", "why"),
        [
            ([1.0], "1 values for 2 inputs"),
            ([1.0, 2.0, 3.0], "3 values for 2 inputs"),
            ([1.0, float("nan")], "finite"),  # JSON knows no NaN; missing is None
            (None, "list"),
        ],
    )
    def test_served_model_reference_of_other_length_raises(self, reference: Any, why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            ServedModel(**self.CONTRACT | {"reference": reference})

    def test_served_model_invalid_example_raises(self) -> None:
        good = {"inputs": [1.5, None], "churn_probability": 0.25}
        served = ServedModel(**self.CONTRACT | {"examples": [good, good]})
        assert ServedModel.model_validate_json(served.model_dump_json()) == served
        for bad, why in (
            ({"inputs": [1.0]}, "example 1 has 1 values for 2 inputs"),
            ({"inputs": [1.0, float("inf")]}, "finite"),
            ({"churn_probability": 1.1}, "less than or equal to 1"),
            ({"churn_probability": float("nan")}, "equal to"),
        ):
            with pytest.raises(ValidationError, match=why):
                ServedModel(**self.CONTRACT | {"examples": [good, good | bad]})

    def test_differing_definitions_lists_the_parts(self) -> None:
        served = ServedModel(**self.CONTRACT)
        assert served.differing_definitions(served.model_copy(update={"threshold": 0.1, "model_version": "2"})) == []
        other = served.model_copy(update={"fingerprint": {"labels": "1", "on_demand": "2"}, "inputs": ["b", "a"]})
        assert served.differing_definitions(other) == ["labels", "on_demand", "inputs"]

    def test_served_model_missing_field_raises(self) -> None:
        without = {name: value for name, value in self.CONTRACT.items() if name != "reference"}
        with pytest.raises(ValidationError, match="reference"):
            ServedModel(**without)


INPUTS = [Feature("v", "count", "Int64", False), Feature("v", "gap", "Float64", True)]


class TestInputMatrix:
    def test_input_matrix_columns_have_the_order_of_the_inputs(self) -> None:
        matrix = input_matrix(INPUTS, {"unused": ["x", "y"], "gap": [0.5, -0.0], "count": [1, 2]})
        assert matrix.dtype == np.float64
        assert matrix.tolist() == [[1.0, 0.5], [2.0, -0.0]]

    @pytest.mark.parametrize("missing", [None, float("nan")])
    def test_input_matrix_null_in_nullable_feature_is_nan(self, missing: float | None) -> None:
        matrix = input_matrix(INPUTS, {"gap": [1.0, missing], "count": [1, 2]})
        assert np.isnan(matrix).tolist() == [[False, False], [False, True]]

    @pytest.mark.parametrize("missing", [None, float("nan")])
    def test_input_matrix_null_in_other_feature_raises(self, missing: float | None) -> None:
        with pytest.raises(MissingFeatureError, match=r"v:count is null in row 2, and is not declared nullable"):
            input_matrix(INPUTS, {"gap": [1.0, None, 2.0], "count": [1, 2, missing]})

    def test_input_matrix_text_is_its_code(self) -> None:
        inputs = [*INPUTS, Feature("v", "country", "String", True), Feature("v", "plan", "String", False)]
        columns: dict[str, list[Any]] = {"count": [1, 2], "gap": [None, 0.5], "country": ["", None], "plan": ["x", "x"]}
        matrix = input_matrix(inputs, columns)
        assert matrix[:, :2].tobytes() == input_matrix(INPUTS, columns).tobytes()
        assert matrix[:, 2].tolist()[0] == category_code("")
        assert np.isnan(matrix[1, 2])
        assert matrix[:, 3].tolist() == [category_code("x")] * 2
        with pytest.raises(MissingFeatureError, match="v:plan is null in row 1"):
            input_matrix(inputs, columns | {"plan": ["x", None]})

    def test_input_matrix_no_rows_returns_no_rows(self) -> None:
        assert input_matrix(INPUTS, {"gap": [], "count": []}).shape == (0, 2)

    def test_input_matrix_missing_or_shorter_column_raises(self) -> None:
        with pytest.raises(KeyError):
            input_matrix(INPUTS, {"count": [1]})
        with pytest.raises(ValueError, match="broadcast"):
            input_matrix(INPUTS, {"count": [1, 2], "gap": [1.0, 2.0, 3.0]})
