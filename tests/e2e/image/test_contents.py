"""Tests of the files in the built image."""

import json
import tarfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from holdfast.container_image.content_policy import check_contents
from holdfast.models.contract import CONTRACT_FILE, MODEL_FILE, ServedModel
from tests.support.built_image import IMAGE, Image
from tests.support.main_job import ROOT

pytestmark = pytest.mark.image
_BENTO = "home/bentoml/bento"


@pytest.fixture(scope="module")
def files(image: Image) -> list[tarfile.TarInfo]:
    return list(image.environment.engine.export_files(IMAGE))


def test_image_contains_only_allowed_files(files: list[tarfile.TarInfo]) -> None:
    assert check_contents(files).problems == []
    assert len(files) > 10_000


def test_image_contains_the_sources_of_the_bento(files: list[tarfile.TarInfo]) -> None:
    source = f"{_BENTO}/src/"
    contained = {file.name.removeprefix(source) for file in files if file.name.startswith(source) and file.isfile()}
    expected = {
        path.relative_to(ROOT).as_posix()
        for pattern in yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]
        for path in ROOT.glob(pattern)
    }
    assert {name for name in contained if not name.endswith(".pyc")} == expected
    modules = {Path(name).stem.partition(".")[0] for name in contained if name.endswith(".pyc")}
    assert modules == {Path(name).stem for name in expected if name.endswith(".py")}


def test_image_contains_only_the_model_of_the_bento(image: Image, files: list[tarfile.TarInfo]) -> None:
    (model,) = image.bento.info.all_models
    models = [file.name for file in files if Path(file.name).name == MODEL_FILE]
    assert models == [f"{_BENTO}/models/{model.tag.name}/{model.tag.version}/{MODEL_FILE}"]
    contract = image.data / "bentoml/models" / model.tag.path() / CONTRACT_FILE
    served = ServedModel.model_validate_json(contract.read_text())
    digest = image.environment.engine.run(
        "run", "--rm", "--network=none", "--entrypoint=sha256sum", IMAGE, f"/{models[0]}"
    )
    assert digest.split()[0] == served.model_sha256


def test_image_contains_the_packages_of_the_lock(image: Image) -> None:
    code = """
import importlib.metadata, json, platform
import feast.infra.online_stores.redis, uvloop  # used with other online stores
installed = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}
print(json.dumps([platform.python_version(), installed]))
"""
    output = image.environment.engine.run("run", "--rm", "--network=none", "--entrypoint=python", IMAGE, "-c", code)
    python, installed = json.loads(output)
    markers = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    lines = (ROOT / "requirements-serving.lock").read_text().replace("\\\n", "").splitlines()
    locked = [Requirement(line.partition("--hash")[0]) for line in lines if line.strip()]
    expected = {
        requirement.name: str(requirement.specifier).removeprefix("==")
        for requirement in locked
        if requirement.marker is None or requirement.marker.evaluate(markers)
    }
    removed = {"mypy", "mypy-extensions", "librt", "ast-serialize"}  # type checker, see Dockerfile.j2
    assert installed == {name: version for name, version in expected.items() if name not in removed}
