"""A registry watcher that polls every 50 ms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from holdfast.models.contract import ServedModel
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.registry_client import RegistryClient
from services.errors import NotReadyError
from services.models.loader import load_served_model
from services.models.registry_watcher import RegistryWatcher
from tests.support.registry import DEFINITIONS, build_contract, fit_classifier, serialize_model


def require_definitions(contract: ServedModel) -> None:
    """Raise NotReadyError for a contract with other definitions."""
    if contract.fingerprint != DEFINITIONS:
        raise NotReadyError(f"Model version {contract.model_version} was trained on other definitions.")


def bento_model() -> LoadedModel:
    """Load the model in the bento."""
    content = serialize_model(model := fit_classifier(99))
    return load_served_model(build_contract(model, content, model_version="baked"), content)


def missing_model() -> LoadedModel:
    """Raise the error of a bento without a model."""
    raise NotReadyError("The model holdfast-churn:latest is not in the model store.")


@contextmanager
def running_watcher(
    uri: str | None, load_bento_model: Callable[[], LoadedModel] = bento_model, **options: Any
) -> Iterator[RegistryWatcher]:
    """Start a watcher that polls every 50 ms; stops with the block."""
    options = {"poll_seconds": 0.05, "start_timeout": 10.0} | options
    watcher = RegistryWatcher(
        RegistryClient(uri) if uri else None, load_bento_model, require_definitions, lambda _: None, **options
    )
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.stop()
