"""Data folder with two versions of the feature definitions and a model on each.

    HOLDFAST_DATA=COPY python -m benchmarks.serving.two_versions_data DATA

Copies DATA, which benchmarks.serving.fixture_data has built with its values in Redis, and writes the values of both
versions to the online store of ``FEAST_FS_YAML_FILE_PATH``. The challenger's version has one more feature. In addition
the folder contains a registry per kind of traffic.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.serving.fixture_data import fit_family
from benchmarks.serving.two_versions import EXPECTED_OF_CHALLENGER, ONE, TRAFFIC, registry_folder
from feature_repo.database_urls import sqlite_url
from feature_repo.settings import Settings, apply_environment
from holdfast.models.contract import CHALLENGER, TRUSTED_TYPES, ServedModel
from tests.support.definition_versions import add_feature, materialize_version, only_version, register_changed
from tests.support.registry import Registry
from tests.support.service_state import AS_OF, KNOWN_AT, fit, offline_matrix


def main() -> None:
    """Build the data folder of the environment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--family", required=True)
    arguments = parser.parse_args()
    apply_environment()
    settings = Settings.from_environment()
    _copy(arguments.data, settings.data)
    old = only_version(settings.data)
    new = register_changed(add_feature)
    for version in (old, new):
        materialize_version(settings, version, AS_OF, KNOWN_AT)
    challenger, content = _fit_challenger(settings, arguments.data / "requests", new, arguments.family)
    for traffic in (ONE, *TRAFFIC):
        _register(arguments.data / "mlflow", registry_folder(settings.data, traffic), traffic, challenger, content)


def _copy(data: Path, folder: Path) -> None:
    """Copy the definitions and snapshots, without online values."""
    ignored = shutil.ignore_patterns("bentoml*", "mlflow*", "requests", "predictions", "online_*", "installation.json")
    shutil.copytree(data, folder, ignore=ignored, dirs_exist_ok=True)
    for file in (folder / "feast").rglob("registry.redis.db"):
        shutil.copyfile(file, file.with_name("registry.db"))


def _fit_challenger(settings: Settings, requests: Path, definitions: str, family: str) -> tuple[ServedModel, bytes]:
    import skops.io

    def train(matrix: Any, churned: Any, seed: int) -> Any:
        return fit_family(family, matrix, churned, seed, definitions)

    bodies = (requests / "predict.jsonl").read_text().splitlines()
    customers = [json.loads(body)["customer_id"] for body in bodies]
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(settings, Path(folder), "2", 1, customers=customers, train=train, definitions=definitions)
    expected = list(json.loads((requests / "expected.json").read_text()))
    matrix = offline_matrix(expected, AS_OF, definitions)
    scores = skops.io.loads(fitted[1], trusted=TRUSTED_TYPES).predict_proba(matrix)[:, 1].tolist()
    (settings.data / EXPECTED_OF_CHALLENGER).write_text(json.dumps(dict(zip(expected, scores, strict=True))))
    return fitted


def _register(alone: Path, folder: Path, traffic: str, challenger: ServedModel, content: bytes) -> None:
    """Copy the registry of the champion, and add the challenger with its traffic."""
    from holdfast.training.mlflow_client import ModelClient

    shutil.copytree(alone, folder)
    if traffic == ONE:
        return
    uri = sqlite_url(folder / "mlflow.db")
    registry = Registry(ModelClient(uri), uri, folder / "artifacts")
    registry.set_alias(CHALLENGER, registry.register(content, challenger.model_dump_json()))
    registry.set_traffic("2", TRAFFIC[traffic])


if __name__ == "__main__":
    main()
