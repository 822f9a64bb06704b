"""Attacks by model files that match their contract: the service refuses them, and goes on."""

import hashlib
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io

from holdfast.models.contract import CHAMPION, ServedModel
from services.errors import NotReadyError
from services.models.model_selector import ModelSelector, NamedVersions
from services.models.model_trial import TryingRegistry, try_model
from services.settings import ServingSettings
from tests.support.registry import build_contract, fit_classifier, make_registry, serialize_model

pytestmark = pytest.mark.long

SECONDS, MEMORY_MB, SMALL_MB = 120.0, 2048, 900


@pytest.fixture(scope="module")
def model() -> tuple[ServedModel, bytes]:
    """A model with its contract."""
    classifier = fit_classifier()
    content = serialize_model(classifier)
    return build_contract(classifier, content, model_version="7"), content


def with_file(contract: ServedModel, content: bytes) -> ServedModel:
    """Return the contract of another file, which the attacker writes as well."""
    return contract.model_copy(update={"model_sha256": hashlib.sha256(content).hexdigest()})


def bomb(megabytes: int) -> bytes:
    """Return a small model file whose array takes much memory."""
    classifier = fit_classifier(seed=5)
    scaled = skops.io.dumps(classifier)
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(scaled)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for item in source.infolist():
            content = source.read(item)
            if item.filename.endswith(".npy"):
                array = BytesIO()
                np.save(array, np.zeros(megabytes * 125_000))
                content = array.getvalue()
                megabytes = 1  # one array is enough
            target.writestr(item.filename, content)
    return out.getvalue()


def test_try_model_accepts_a_model(model: tuple[ServedModel, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    try_model(*model, SECONDS, MEMORY_MB)


def test_try_model_refuses_a_file_that_takes_all_memory(model: tuple[ServedModel, bytes]) -> None:
    content = bomb(500)
    assert len(content) < 1_000_000
    with pytest.raises(NotReadyError, match=r"model version 7 cannot be read\. MemoryError"):
        try_model(with_file(model[0], content), content, SECONDS, SMALL_MB)


def test_try_model_refuses_a_file_that_takes_all_time(model: tuple[ServedModel, bytes]) -> None:
    begun = time.monotonic()
    with pytest.raises(NotReadyError, match=r"was not loaded within 0\.05 s"):
        try_model(*model, 0.05, MEMORY_MB)
    assert time.monotonic() - begun < 30


def test_service_refuses_a_version_whose_trial_fails_and_serves_on(data_dir: Path) -> None:
    """The selector serves the champion of before, and reports the version that failed."""
    registry = make_registry(data_dir / "mlflow")
    from holdfast.model_versions.aliases import set_champion

    good = registry.register_model()
    set_champion(registry.client, good)
    client = TryingRegistry(ServingSettings(model_trial_seconds=SECONDS), registry.uri)
    selector = ModelSelector(client.download_model, lambda _contract: None, None)
    selector.reconcile(NamedVersions(client.get_by_alias(CHAMPION), None))
    assert served(selector) == good

    content = bomb(500)
    contract = with_file(build_contract(fit_classifier(), serialize_model(fit_classifier())), content)
    bad = registry.register(content, contract.model_dump_json())
    set_champion(registry.client, bad)
    limited = TryingRegistry(ServingSettings(model_trial_seconds=SECONDS, model_trial_memory_mb=SMALL_MB), registry.uri)
    selector._download = limited.download_model
    selector.reconcile(NamedVersions(client.get_by_alias(CHAMPION), None))
    assert served(selector) == good
    assert "MemoryError" in selector.problems[bad].reason


def served(selector: ModelSelector) -> Any:
    """Return the version of the champion in service."""
    assert selector.models is not None
    return selector.models.champion.contract.model_version


def test_child_process_has_no_secret(model: tuple[ServedModel, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> Any:
        given.update(options, command=command)
        return type("Done", (), {"returncode": 0})

    monkeypatch.setenv("HOLDFAST_API_KEYS_FILE", "/keys")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    monkeypatch.setattr("services.models.model_trial.subprocess.run", run)
    try_model(*model, 1, 2000)
    assert set(given["env"]) == {
        "PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"
    }  # fmt: skip
    assert "s3cret" not in " ".join(given["command"])
