"""From MLflow's registry to BentoML's model store: complete, idempotent, and whole or not at all."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError, PackagingError
from holdfast.models.contract import CHAMPION, MODEL_NAME, SERVED_MODEL_TAG, TRUSTED_TYPES, ServedModel
from holdfast.models.registered_version import NoRegistryError, NotServableError
from holdfast.models.registry_client import RegistryClient
from holdfast.packaging.bento_stores import open_model_store, save_served_model
from tests.support.registry import build_contract, fit_classifier


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A real MLflow registry with one version, logged as training logs it; no alias yet."""
    import mlflow
    import numpy as np
    from mlflow.models import infer_signature

    data = tmp_path_factory.mktemp("registry")
    (data / "mlflow").mkdir()
    uri = f"sqlite:///{data / 'mlflow' / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient(uri)
        experiment = client.create_experiment("churn", artifact_location=(data / "mlflow" / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            info = mlflow.sklearn.log_model(
                fit_classifier(),
                name="model",
                serialization_format="skops",
                skops_trusted_types=TRUSTED_TYPES,
                signature=infer_signature(np.zeros((5, 3)), np.zeros(5)),
                pip_requirements=["scikit-learn"],
                registered_model_name=MODEL_NAME,
            )
        content = RegistryClient(uri).download_logged_model(info.model_id)
        sha256 = hashlib.sha256(content).hexdigest()
        yield SimpleNamespace(settings=Settings(data=data), client=client, sha256=sha256)
        mlflow.set_tracking_uri(before)


def test_save_served_model_of_registry_stores_contract_and_file(
    registry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is logged by MLflow itself, whose versions name a logged model instead of a folder."""
    settings, client = registry.settings, registry.client
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, "1")
    with pytest.raises(NotServableError, match=r"Version 1 .*no tag holdfast\.served_model"):
        RegistryClient(settings.mlflow_tracking_uri).download_by_alias(CHAMPION)
    known = build_contract(fit_classifier(), b"").model_copy(update={"model_sha256": registry.sha256})
    client.set_model_version_tag(MODEL_NAME, "1", SERVED_MODEL_TAG, known.model_dump_json())

    monkeypatch.setattr("mlflow.get_tracking_uri", lambda: "sqlite:////nowhere/mlflow.db")  # whatever was asked last
    served, content = RegistryClient(settings.mlflow_tracking_uri).download_by_alias(CHAMPION)
    assert hashlib.sha256(content).hexdigest() == registry.sha256
    assert served == known.model_copy(update={"model_version": "1"})

    tag = save_served_model(settings, served, content)
    assert str(tag) == f"{MODEL_NAME}:v1-{registry.sha256[:8]}"
    stored = open_model_store(settings).get(tag)
    assert sorted(path.name for path in Path(stored.path).iterdir()) == ["contract.json", "model.skops", "model.yaml"]
    assert ServedModel.model_validate_json(Path(stored.path_of("contract.json")).read_bytes()) == served
    assert Path(stored.path_of("model.skops")).read_bytes() == content
    assert stored.info.labels["version"] == "1"


def test_download_by_alias_without_registry_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.packaging.smoke_test import SmokeTestError

    assert issubclass(PackagingError, HoldfastError)
    assert issubclass(SmokeTestError, HoldfastError)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(NoRegistryError, match=r"no champion.*flows\.train"):
        RegistryClient(Settings(data=tmp_path / "data").mlflow_tracking_uri).download_by_alias(CHAMPION)
    assert not (tmp_path / "data").exists()


def _version(version: str) -> tuple[ServedModel, bytes]:
    content = version.encode()
    return build_contract(fit_classifier(), content, model_version=version), content


def test_save_served_model_again_adds_nothing_and_is_the_latest(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    first = save_served_model(settings, *_version("1"))
    written = Path(open_model_store(settings).get(first).path_of("model.yaml")).stat().st_mtime_ns
    second = save_served_model(settings, *_version("2"))
    assert open_model_store(settings).get(MODEL_NAME).tag == second
    assert save_served_model(settings, *_version("1")) == first
    assert open_model_store(settings).get(f"{MODEL_NAME}:latest").tag == first
    assert Path(open_model_store(settings).get(first).path_of("model.yaml")).stat().st_mtime_ns == written
    assert len(open_model_store(settings).list(MODEL_NAME)) == 2


def test_save_served_model_other_checksum_raises(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    served, _ = _version("1")
    with pytest.raises(PackagingError, match="SHA-256"):
        save_served_model(settings, served, b"other")
    assert not list(open_model_store(settings).list())


def test_save_served_model_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data=tmp_path / "data")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("holdfast.packaging.bento_stores.Path.write_bytes", crash)
        with pytest.raises(KeyboardInterrupt):
            save_served_model(settings, *_version("1"))
    assert not list(open_model_store(settings).list())
    save_served_model(settings, *_version("1"))
    assert len(open_model_store(settings).list(MODEL_NAME)) == 1
