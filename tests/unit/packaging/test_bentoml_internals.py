"""Contracts of the private names of BentoML: these tests fail when a new version of BentoML changes a name."""

from pathlib import Path

import pytest
from bentoml import Tag
from bentoml.exceptions import NotFound
from bentoml.models import ModelContext

from holdfast.packaging.bentoml_internals import BentoStore, ModelStore, create_model


def test_bento_store_of_an_empty_folder_has_no_bento(tmp_path: Path) -> None:
    store = BentoStore(tmp_path)
    assert list(store.list()) == []
    with pytest.raises(NotFound):
        store.get("holdfast:latest")


def test_model_store_of_an_empty_folder_has_no_model(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert list(store.list()) == []
    with pytest.raises(NotFound):
        store.get("holdfast-churn:latest")


def test_create_model_saves_into_the_given_store_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    context = ModelContext(framework_name="none", framework_versions={})
    with create_model(tmp_path / "store", Tag("churn", "v1"), module="tests", context=context) as model:
        Path(model.path_of("file")).write_text("content")
    saved = ModelStore(tmp_path / "store").get("churn:v1")
    assert Path(saved.path_of("file")).read_text() == "content"
    assert not (tmp_path / "home").exists()
