"""Contract tests of the private names of BentoML: each fails when a new version of BentoML changes its name."""

import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.bentoml_internals import WORKER_MODULE
from tests.support.main_job import ROOT

_LIST_MIDDLEWARES = """
import json, sys, bentoml
from _bentoml_impl.server.app import ServiceAppFactory
from services.bentoml_patches import remove_bentoml_middlewares, service_options

@bentoml.service(**service_options(2))
class Service:
    @bentoml.api
    def predict(self) -> int:
        return 1

Service.inject_config()
def layers():
    factory = ServiceAppFactory(Service, is_main=True, enable_metrics=True, enable_access_control=False)
    return [layer.cls.__name__ for layer in factory.middlewares]
before = layers()
remove_bentoml_middlewares()
print(json.dumps([before, layers(), Service.config.get("workers")]))
"""


def test_bentoml_version_is_the_one_that_the_patches_were_checked_with() -> None:
    assert version("bentoml") == "1.4.39", "check services/bentoml_patches.py, then change this test"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("_bentoml_impl.server.app", "ServiceAppFactory"),
        ("bentoml._internal.server.http.instruments", "RunnerTrafficMetricsMiddleware"),
        ("bentoml._internal.server.http.traffic", "TimeoutMiddleware"),
        ("bentoml._internal.configuration.containers", "BentoMLContainer"),
        ("bentoml._internal.models", "ModelStore"),
        ("bentoml._internal.bento", "BentoStore"),
    ],
)
def test_private_name_of_bentoml_exists(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_worker_module_of_bentoml_exists() -> None:
    assert importlib.util.find_spec(WORKER_MODULE) is not None


def test_middlewares_of_bentoml_is_a_property() -> None:
    from _bentoml_impl.server.app import ServiceAppFactory

    assert isinstance(inspect.getattr_static(ServiceAppFactory, "middlewares"), property)


def test_model_store_of_bentoml_can_be_replaced() -> None:
    from bentoml._internal.configuration.containers import BentoMLContainer

    assert callable(BentoMLContainer.model_store.set) and callable(BentoMLContainer.model_store.reset)


def test_remove_bentoml_middlewares_removes_exactly_three(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIST_MIDDLEWARES],
        cwd=ROOT,
        env=os.environ | {"HOLDFAST_DATA": str(tmp_path), "BENTOML_HOME": str(tmp_path / "bentoml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    before, after, workers = json.loads(done.stdout.splitlines()[-1])
    removed = {"RunnerTrafficMetricsMiddleware", "OpenTelemetryMiddleware", "TimeoutMiddleware"}
    assert removed <= set(before)
    assert after == [name for name in before if name not in removed]
    assert "ContextMiddleware" in after
    assert "AccessLogMiddleware" not in before, "the option turns it off"
    assert workers == 2


def test_private_names_of_bentoml_are_used_in_named_modules_only() -> None:
    allowed = {"services/bentoml_patches.py", "holdfast/packaging/bentoml_internals.py"}
    found = {
        file.relative_to(ROOT).as_posix()
        for folder in ("services", "holdfast", "flows", "feature_repo", "simulations", "deploy")
        for file in (ROOT / folder).rglob("*.py")
        if "_bentoml_impl" in file.read_text() or "bentoml._internal" in file.read_text()
    }
    assert found == allowed


@pytest.mark.parametrize(
    "module", ["services", "services.bentoml_patches", "services.settings", "services.api.api_keys"]
)
def test_import_of_services_changes_no_environment_and_reads_no_settings(module: str) -> None:
    code = f"import os; before = dict(os.environ); import {module}; assert dict(os.environ) == before"
    environment = {"PATH": os.environ["PATH"], "HOLDFAST_WORKERS": "none", "HOLDFAST_HORIZON_DAYS": "none"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_import_of_churn_configures_the_process(tmp_path: Path) -> None:
    code = "import services.churn, os; print(os.environ['OMP_NUM_THREADS'], os.environ['BENTOML_HOME'])"
    environment = {"PATH": os.environ["PATH"], "HOLDFAST_DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1", f"{tmp_path}/bentoml"], done.stderr[-2000:]
