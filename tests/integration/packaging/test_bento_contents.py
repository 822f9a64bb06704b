"""The bento, run with the packages of its lock alone: what a container has, and nothing of the checkout."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from feature_repo.settings import NO_TELEMETRY
from holdfast.packaging.bento import build_bento
from holdfast.packaging.bento_stores import open_bento_store, open_model_store
from holdfast.runtime.processes import free_port
from tests.support.main_job import ROOT, STATE_VARIABLES
from tests.support.server_processes import running_server, wait_for_response
from tests.support.service_fixtures import service_environment
from tests.support.service_state import AS_OF

_IMPORT_ALL = """
import importlib, json, pathlib, sys, traceback
source = pathlib.Path(sys.argv[1])
files = [file.relative_to(source) for file in sorted(source.rglob("*.py"))]
modules = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
failures, elsewhere = {}, {}
sys.path.insert(0, str(source))
for name in modules:
    try:
        module = importlib.import_module(name)
    except BaseException:
        failures[name] = traceback.format_exc(limit=-3)
    else:
        if not str(module.__file__).startswith(str(source)):
            elsewhere[name] = module.__file__
print(json.dumps({"modules": modules, "failures": failures, "elsewhere": elsewhere}))
"""


@dataclass(frozen=True)
class BentoInstallation:
    """A built bento, the data folder it serves, and a Python with the packages of the serving lock alone."""

    tag: str
    source: Path
    data: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a container: no ``PYTHONPATH`` and no virtual environment of the checkout."""
        hidden = (*STATE_VARIABLES, "PYTHON", "VIRTUAL_ENV")
        bare = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        state = {
            "HOLDFAST_DATA": str(self.data),
            "BENTOML_HOME": str(self.data / "bentoml"),
            "HOLDFAST_KEYLESS": "loopback",
        }
        path = f"{self.python.parent}:/usr/bin:/bin"
        return bare | NO_TELEMETRY | state | {"HOLDFAST_CLOCK": AS_OF.isoformat(), "PATH": path}


def _install_serving_lock(folder: Path) -> Path:
    """Install requirements-serving.lock into a new virtual environment; return its Python."""
    uv, python = Path(sys.executable).parent / "uv", folder / "bin" / "python"
    lock = ROOT / "requirements-serving.lock"
    quiet = {"capture_output": True, "text": True, "check": False}
    for command in (
        [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, folder],
        [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock],
    ):
        done = subprocess.run(command, cwd=folder.parent, **quiet)
        assert done.returncode == 0, done.stderr[-3000:]
    return python


@pytest.fixture(scope="session")
def installation(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BentoInstallation]:
    """A bento as ``bentoml build`` makes it, and the environment that its lock describes."""
    folder = tmp_path_factory.mktemp("bento-contents")
    data = Path(shutil.copytree(service_data, folder / "data"))
    with service_environment(data) as settings:
        model = open_model_store(settings).get("holdfast-churn:latest").tag
        tag = build_bento(ROOT, settings, model)
        source = Path(open_bento_store(settings).get(tag).path_of("src"))
    yield BentoInstallation(str(tag), source, data, _install_serving_lock(folder / "serving"))


@pytest.mark.long  # the lock has 150 packages
def test_bento_modules_with_serving_lock_only_import(installation: BentoInstallation) -> None:
    done = subprocess.run(
        [installation.python, "-c", _IMPORT_ALL, installation.source],
        env=installation.environment,
        cwd=installation.data,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == {}
    assert found["elsewhere"] == {}
    for package in ("services", "feature_repo", "holdfast.core", "holdfast.models", "holdfast.online_features"):
        assert package in found["modules"]


@pytest.mark.long
def test_bento_with_serving_lock_only_serves_prediction(installation: BentoInstallation) -> None:
    port = free_port()
    command = [installation.python, "-m", "bentoml", "serve", installation.tag, "--host", "127.0.0.1"]
    log = installation.data / "serve.log"
    with running_server(
        [*map(str, command), "--port", str(port)], installation.environment, log, installation.data
    ) as server:
        wait_for_response(server, f"http://127.0.0.1:{port}/readyz", within=120)
        response = httpx.post(
            f"http://127.0.0.1:{port}/predict", json={"customer_id": "c001", "explain": True}, timeout=30
        )
    assert response.status_code == 200, response.text
    assert 0 <= response.json()["churn_probability"] <= 1


def test_dockerfile_copies_every_source_folder_of_the_bento() -> None:
    included = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]
    template = (ROOT / "deploy" / "image" / "Dockerfile.j2").read_text()
    for folder in {pattern.split("/")[0] for pattern in included}:
        assert f"COPY src/{folder} " in template, f"The image lacks src/{folder}; add a COPY to Dockerfile.j2"
