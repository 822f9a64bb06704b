"""When a bento is built anew."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bentoml import Tag

from feature_repo.settings import Settings
from holdfast.core.errors import PackagingError
from holdfast.models.contract import MODEL_NAME
from holdfast.packaging.bento import build_bento, content_digest
from holdfast.packaging.bento_stores import open_bento_store

ROOT = Path(__file__).resolve().parents[3]
MODEL = Tag(MODEL_NAME, "v1-00000000")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the shape of this one."""
    (tmp_path / "bentofile.yaml").write_text(
        "include: [services/**/*.py]\npython: {requirements_txt: requirements-serving.lock}\n"
        "docker: {dockerfile_template: Dockerfile.j2}\n"
    )
    (tmp_path / "Dockerfile.j2").write_text("FROM scratch\n")
    (tmp_path / "requirements-serving.lock").write_text("bentoml==1.4.39\n")
    (tmp_path / "services" / "deep").mkdir(parents=True)
    (tmp_path / "services" / "a.py").write_text("A = 1\n")
    (tmp_path / "services" / "deep" / "b.py").write_text("B = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    "file",
    [
        "bentofile.yaml",
        "requirements-serving.lock",
        "Dockerfile.j2",
        "services/a.py",
        "services/deep/b.py",
        "services/new.py",
    ],
)
def test_content_digest_changes_with_every_file_of_the_bento(project: Path, file: str) -> None:
    before = content_digest(project, MODEL)
    with (project / file).open("a") as content:
        content.write("# changed\n")
    assert content_digest(project, MODEL) != before


def test_content_digest_ignores_files_outside_the_bento(project: Path) -> None:
    before = content_digest(project, MODEL)
    (project / "README.md").write_text("new")
    (project / "services" / "a.pyc").write_bytes(b"new")
    assert content_digest(project, MODEL) == before
    assert content_digest(project, Tag(MODEL_NAME, "v2-00000000")) != before


def _put_bento(settings: Settings, version: str, model: Tag, hour: int) -> Tag:
    """A bento as the build leaves it, as far as its store reads it; the one put last is the latest."""
    tag = Tag("holdfast", version)
    folder = settings.data / "bentoml/bentos" / tag.path()
    folder.mkdir(parents=True)
    info = {
        "service": "services.churn:ChurnService",
        "name": tag.name,
        "version": tag.version,
        "bentoml_version": "1.4.39",
        "creation_time": f"2026-01-01T{hour:02}:00:00+00:00",
        "labels": {"content": content_digest(ROOT, model)},
    }
    (folder / "bento.yaml").write_text(yaml.safe_dump(info))
    (folder.parent / "latest").write_text(version)
    return tag


def test_build_bento_after_rollback_selects_the_earlier_bento(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    rolled_back_to = Tag(MODEL_NAME, "v1-00000000")
    first = _put_bento(settings, "first", rolled_back_to, hour=1)
    second = _put_bento(settings, "second", Tag(MODEL_NAME, "v2-00000000"), hour=2)
    assert open_bento_store(settings).get("holdfast:latest").tag == second
    assert build_bento(ROOT, settings, rolled_back_to) == first
    assert open_bento_store(settings).get("holdfast:latest").tag == first
    assert build_bento(ROOT, settings, Tag(MODEL_NAME, "v2-00000000")) == second
    assert open_bento_store(settings).get("holdfast:latest").tag == second
    assert not list((settings.data / "bentoml/bentos/holdfast").glob(".*"))


def test_build_bento_without_model_raises(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"bentoml build failed: .*holdfast-churn:latest"):
        build_bento(ROOT, Settings(data=tmp_path / "data"), MODEL)


def test_service_import_without_saved_model_succeeds(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", "import services.churn, sys; assert 'feast' not in sys.modules"],
        env={"HOLDFAST_DATA": str(tmp_path)},
        cwd=ROOT,
        check=True,
    )
