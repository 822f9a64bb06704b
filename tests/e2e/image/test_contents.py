"""What the built image holds, file by file."""

import json
import tarfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from holdfast.container_image.content_policy import check_contents
from holdfast.models.contract import CONTRACT_FILE, MODEL_FILE, ServedModel
from tests.e2e.image.conftest import IMAGE, Image
from tests.support.main_job import ROOT

pytestmark = pytest.mark.image
_BENTO = "home/bentoml/bento"


@pytest.fixture(scope="module")
def files(image: Image) -> list[tarfile.TarInfo]:
    return list(image.prepared.engine.export_files(IMAGE))


def test_every_file_is_allowed_and_none_forbidden(files: list[tarfile.TarInfo]) -> None:
    assert check_contents(files).problems == []
    assert len(files) > 10_000  # it did look


def test_it_holds_the_service_and_the_feature_definitions_of_this_checkout(files: list[tarfile.TarInfo]) -> None:
    source = f"{_BENTO}/src/"
    held = {file.name.removeprefix(source) for file in files if file.name.startswith(source) and file.isfile()}
    expected = {
        path.relative_to(ROOT).as_posix()
        for folder in ("services", "feature_repo")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml") or path.name == ".feastignore"
    }
    assert {name for name in held if not name.endswith(".pyc")} == expected
    modules = {Path(name).stem.partition(".")[0] for name in held if name.endswith(".pyc")}
    assert modules == {Path(name).stem for name in expected if name.endswith(".py")}


def test_it_holds_the_model_of_the_bento_and_no_other(image: Image, files: list[tarfile.TarInfo]) -> None:
    (model,) = image.bento.info.all_models
    named = [file.name for file in files if Path(file.name).name == MODEL_FILE]
    assert named == [f"{_BENTO}/models/{model.tag.name}/{model.tag.version}/{MODEL_FILE}"]
    contract = image.data / "bentoml/models" / model.tag.path() / CONTRACT_FILE
    served = ServedModel.model_validate_json(contract.read_text())
    digest = image.prepared.engine.run("run", "--rm", "--network=none", "--entrypoint=sha256sum", IMAGE, f"/{named[0]}")
    assert digest.split()[0] == served.model_sha256


def test_its_packages_are_those_of_the_lock(image: Image) -> None:
    code = """
import importlib.metadata, json, platform
import feast.infra.online_stores.redis, uvloop  # not needed with the store of this test, but with others
installed = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}
print(json.dumps([platform.python_version(), installed]))
"""
    ran = image.prepared.engine.run("run", "--rm", "--network=none", "--entrypoint=python", IMAGE, "-c", code)
    python, installed = json.loads(ran)
    here = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    lines = (ROOT / "requirements-serving.lock").read_text().replace("\\\n", "").splitlines()
    locked = [Requirement(line.partition("--hash")[0]) for line in lines if line.strip()]
    expected = {
        requirement.name: str(requirement.specifier).removeprefix("==")
        for requirement in locked
        if requirement.marker is None or requirement.marker.evaluate(here)
    }
    removed = {"mypy", "mypy-extensions", "librt", "ast-serialize"}  # with a type checker; see Dockerfile.j2
    assert installed == {name: version for name, version in expected.items() if name not in removed}
