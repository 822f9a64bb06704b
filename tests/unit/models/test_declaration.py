"""Declarations of the models."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.labels import LABELS
from feature_repo.names import FEATURE_SERVICE
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models import declaration
from holdfast.models.contract import MODEL_NAME
from holdfast.models.declaration import (
    CHURN,
    DeclarationError,
    declared_name,
    list_models,
    load_declaration,
    registered_name,
)
from holdfast.models.label import SETTINGS_LABEL
from holdfast.training.model_families import FAMILIES

VALID = (
    f"kind: classification\ndescription: d\nfeature_service: {FEATURE_SERVICE}\nlabel: churn\ncandidates: [logistic]\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty folder of declarations."""
    monkeypatch.setattr(declaration, "_FOLDER", tmp_path)
    load_declaration.cache_clear()
    return tmp_path


def test_every_declaration_names_existing_parts() -> None:
    assert CHURN in list_models()
    for name in list_models():
        found = load_declaration(name)
        assert found.label in {SETTINGS_LABEL, *LABELS}
        if found.kind == "classification":
            assert set(found.candidates) <= set(FAMILIES)
            GateSettings(**found.gates)


def test_churn_is_registered_under_the_served_name() -> None:
    found = load_declaration(CHURN)
    assert (found.registered_name, found.candidates, found.gates) == (MODEL_NAME, list(FAMILIES), {})


@given(st.text())
def test_declared_name_reverses_registered_name(name: str) -> None:
    assert declared_name(registered_name(name)) == name


def test_load_declaration_unknown_model_lists_the_declared_ones(folder: Path) -> None:
    (folder / "sole.yaml").write_text(VALID)
    assert load_declaration("sole").registered_name == "holdfast-sole"
    with pytest.raises(DeclarationError, match=r"no model .other.: choose one of sole \(feature_repo/models\)"):
        load_declaration("other")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not a mapping in YAML"),
        ("- a list", "is not a mapping in YAML"),
        ("kind: [", "is not a mapping in YAML"),
        (VALID.replace("classification", "ranking"), "kind: "),
        (VALID + "colour: red\n", "colour: "),
        (VALID.replace("label: churn\n", ""), "label: "),
        (VALID.replace(FEATURE_SERVICE, "other_v1"), "all models share one feature service"),
    ],
)
def test_load_declaration_invalid_file_is_one_sentence(folder: Path, content: str, reason: str) -> None:
    (folder / "bad.yaml").write_text(content)
    with pytest.raises(DeclarationError, match=reason) as caught:
        load_declaration("bad")
    assert "\n" not in str(caught.value)
    assert str(folder / "bad.yaml") in str(caught.value)
