"""From MLflow's alias to BentoML's model store: complete, idempotent, and whole or not at all."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from feature_repo.errors import HoldfastError
from feature_repo.model_contract import CHAMPION, MODEL_NAME, SERVED_MODEL_TAG, TRUSTED_TYPES, ServedModel
from feature_repo.settings import Settings
from flows.packaging.champion import champion_from_registry
from flows.packaging.errors import PackagingError, RegistryUnavailableError
from flows.packaging.model_store import save_served_model
from flows.packaging.stores import model_store

KNOWN = ServedModel(
    model_name=MODEL_NAME,
    model_version="",
    feature_service="churn_v1",
    inputs=["a", "b"],
    reference=[100.0, None],
    threshold=0.5,
    horizon_days=90,
    activity_days=180,
    fingerprint={"labels": "0"},
    model_sha256="",
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A real MLflow registry with one version, logged as training logs it; no alias yet."""
    import mlflow
    import numpy as np
    from mlflow.models import infer_signature
    from sklearn.ensemble import HistGradientBoostingClassifier

    data = tmp_path_factory.mktemp("registry")
    (data / "mlflow").mkdir()
    uri = f"sqlite:///{data / 'mlflow' / 'mlflow.db'}"
    matrix = np.arange(200.0).reshape(100, 2)
    model = HistGradientBoostingClassifier(max_iter=3).fit(matrix, matrix[:, 0] > 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient(uri)
        experiment = client.create_experiment("churn", artifact_location=(data / "mlflow" / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            mlflow.sklearn.log_model(
                model,
                name="model",
                serialization_format="skops",
                skops_trusted_types=TRUSTED_TYPES,
                signature=infer_signature(matrix, matrix[:, 0]),
                pip_requirements=["scikit-learn"],
                registered_model_name=MODEL_NAME,
            )
        yield SimpleNamespace(settings=Settings(data=data), client=client)
        mlflow.set_tracking_uri(before)


def _unreachable(*_: object, **__: object) -> None:
    raise ConnectionResetError("connection reset")


def test_from_the_registry_to_the_store(registry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, client = registry.settings, registry.client
    with pytest.raises(PackagingError, match=r"no champion.*flows\.train"):
        champion_from_registry(settings)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, "1")
    with pytest.raises(PackagingError, match=r"Version 1 .*no tag holdfast\.served_model"):
        champion_from_registry(settings)
    client.set_model_version_tag(MODEL_NAME, "1", SERVED_MODEL_TAG, "{}")
    with pytest.raises(PackagingError, match=r"no model contract"):
        champion_from_registry(settings)
    client.set_model_version_tag(MODEL_NAME, "1", SERVED_MODEL_TAG, KNOWN.model_dump_json())

    served, file = champion_from_registry(settings)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert served == KNOWN.model_copy(update={"model_version": "1", "model_sha256": digest})

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.artifacts.download_artifacts", _unreachable)
        with pytest.raises(RegistryUnavailableError, match=r"Version 1 .* cannot be downloaded: connection reset"):
            champion_from_registry(settings)

    tag = save_served_model(settings, served, file)
    assert str(tag) == f"{MODEL_NAME}:v1-{digest[:8]}"
    stored = model_store(settings).get(tag)
    assert sorted(path.name for path in Path(stored.path).iterdir()) == ["contract.json", "model.skops", "model.yaml"]
    assert ServedModel.model_validate_json(Path(stored.path_of("contract.json")).read_bytes()) == served
    assert Path(stored.path_of("model.skops")).read_bytes() == file.read_bytes()
    assert stored.info.labels["version"] == "1"


def test_no_registry_is_said_and_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(PackagingError, match=r"no champion.*flows\.train"):
        champion_from_registry(Settings(data=tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_a_registry_out_of_reach_is_not_called_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryUnavailableError, match="registry cannot be read"):
        champion_from_registry(Settings(data=tmp_path / "data"))


def test_errors_are_ones_a_person_can_act_on() -> None:
    from flows.packaging.live_check import LiveCheckError

    assert issubclass(PackagingError, HoldfastError)
    assert issubclass(LiveCheckError, HoldfastError)


def _version(tmp_path: Path, version: str) -> tuple[ServedModel, Path]:
    file = tmp_path / f"{version}.skops"
    file.write_bytes(version.encode())
    digest = hashlib.sha256(version.encode()).hexdigest()
    return KNOWN.model_copy(update={"model_version": version, "model_sha256": digest}), file


def test_saving_again_adds_nothing_and_a_rollback_is_the_latest(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    first = save_served_model(settings, *_version(tmp_path, "1"))
    written = Path(model_store(settings).get(first).path_of("model.yaml")).stat().st_mtime_ns
    second = save_served_model(settings, *_version(tmp_path, "2"))
    assert model_store(settings).get(MODEL_NAME).tag == second
    assert save_served_model(settings, *_version(tmp_path, "1")) == first
    assert model_store(settings).get(f"{MODEL_NAME}:latest").tag == first
    assert Path(model_store(settings).get(first).path_of("model.yaml")).stat().st_mtime_ns == written
    assert len(model_store(settings).list(MODEL_NAME)) == 2


def test_a_file_that_is_not_the_contracts_is_not_saved(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    served, file = _version(tmp_path, "1")
    file.write_bytes(b"other")
    with pytest.raises(PackagingError, match="SHA-256"):
        save_served_model(settings, served, file)
    assert not list(model_store(settings).list())


def test_a_crash_while_saving_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data=tmp_path / "data")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flows.packaging.model_store.shutil.copyfile", crash)
        with pytest.raises(KeyboardInterrupt):
            save_served_model(settings, *_version(tmp_path, "1"))
    assert not list(model_store(settings).list())
    save_served_model(settings, *_version(tmp_path, "1"))
    assert len(model_store(settings).list(MODEL_NAME)) == 1
