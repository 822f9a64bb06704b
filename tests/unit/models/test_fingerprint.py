"""Fingerprint and version of the feature and label definitions."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.source_hash import strip_formatting
from feature_repo.source_tables import transformation_sql
from holdfast.core.definition_hashes import DECLARATION_TAGS, definitions_version, feature_fingerprint
from holdfast.feast_stores.open_store import open_store
from holdfast.feast_stores.settings import FEATURE_REPO
from holdfast.models.contract import (
    model_inputs,
)
from holdfast.models.fingerprint import differing_parts, fingerprint
from holdfast.training import label_query
from tests.support.definition_changes import apply_sql
from tests.support.labels import purchase_label

PARTS = ["feature_service", "labels", "on_demand", "transformations"]
Change = Callable[[Any], object]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the source files whose SQL the fingerprint reads, to be edited."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in ("transformations.py", "labels.py"):
        shutil.copy(FEATURE_REPO / name, folder / name)
    return folder


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{old!r} is no longer in {path.name}: choose another edit"
    path.write_text(text.replace(old, new, 1))


def _prints(store: Any) -> dict[str, str]:
    store.refresh_registry()
    return fingerprint(store, purchase_label())


def test_fingerprint_has_four_parts_and_is_stable(store: Any) -> None:
    first = _prints(store)
    assert sorted(first) == PARTS
    assert all(len(value) == 64 for value in first.values())
    assert len(set(first.values())) == 4
    assert fingerprint(open_store(), purchase_label()) == first


def _apply_transformations(store: Any, sources: Path) -> None:
    """Register the SQL of edited transformations, and the folders of their snapshots, as `feast apply` does."""
    module: dict[str, Any] = {"__name__": "edited"}
    exec((sources / "transformations.py").read_text(), module)
    for view in store.list_feature_views():
        apply_sql(store, view, transformation_sql(module["BUILDERS"][view.name]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("transactions.amount > 0", "transactions.amount >= 0"),
        ("(30, 90, 180)", "(30, 60, 90)"),
        ("sqrt() / n, missing", "sqrt() / (n + 1), missing"),
    ],
)
def test_fingerprint_changed_transformation_changes_its_part(store: Any, sources: Path, old: str, new: str) -> None:
    before = _prints(store)
    _edit(sources / "transformations.py", old, new)
    assert differing_parts(before, _prints(store)) == [], "the applied definitions count, not the source"
    _apply_transformations(store, sources)
    assert differing_parts(before, _prints(store)) == ["transformations"]


def _use_labels(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    """Compile the label from its edited code."""
    module: dict[str, Any] = {"__name__": "edited"}
    exec((sources / "labels.py").read_text(), module)
    monkeypatch.setattr(label_query, "LABELS", module["LABELS"])


def test_fingerprint_changed_label_source_changes_labels(
    store: Any, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _prints(store)
    _edit(sources / "labels.py", ">= cutoffs.cutoff", "> cutoffs.cutoff")
    _use_labels(monkeypatch, sources)
    assert differing_parts(before, _prints(store)) == ["labels"]


@pytest.mark.parametrize("file", ["transformations.py", "labels.py"])
def test_fingerprint_comments_docstrings_and_layout_have_no_effect(
    store: Any, sources: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _prints(store)
    path = sources / file
    text = path.read_text()
    _edit(path, '"""', '"""Other text. ')
    _edit(path, "\n\n\ndef ", "\n\n\n\n# A comment.\ndef ")
    _edit(path, "    return ", "    # Another.\n\n    return ")
    _edit(path, '    """', '    """Other text. ')
    assert path.read_text() != text
    _apply_transformations(store, sources)
    _use_labels(monkeypatch, sources)
    assert differing_parts(before, _prints(store)) == []


@pytest.mark.parametrize(("changed", "same"), [("labels", True), ("on_demand", False), ("transformations", False)])
def test_definitions_version_depends_on_the_features_only(store: Any, changed: str, same: bool) -> None:
    parts = _prints(store)
    version = definitions_version(parts)
    assert len(version) == 12
    assert version == definitions_version(feature_fingerprint(store))
    assert (definitions_version(parts | {changed: "other"}) == version) is same


@pytest.mark.parametrize(("horizon", "activity"), [(91, 180), (90, 181), (180, 90)])
def test_fingerprint_changed_label_definition_changes_labels(store: Any, horizon: int, activity: int) -> None:
    assert differing_parts(_prints(store), fingerprint(store, purchase_label(horizon, activity))) == ["labels"]


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
