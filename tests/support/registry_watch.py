"""A watch of the registry that looks very often, for tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from holdfast.models.contract import ServedModel
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.registry_client import RegistryClient
from services.errors import NotReadyError
from services.models.loader import load_model
from services.models.registry_watcher import RegistryWatcher
from tests.support.registry import DEFINITIONS, build_contract, fit_classifier, serialize_model


def require_definitions(contract: ServedModel) -> None:
    """Those of now."""
    if contract.fingerprint != DEFINITIONS:
        raise NotReadyError(f"Model version {contract.model_version} was trained on other definitions.")


def bento_model() -> LoadedModel:
    """The model of the bento."""
    content = serialize_model(model := fit_classifier(99))
    return load_model(build_contract(model, content, model_version="baked"), content)


def missing_model() -> LoadedModel:
    """A bento without one."""
    raise NotReadyError("The model holdfast-churn:latest is not in the model store.")


@contextmanager
def running_watcher(
    uri: str | None, baked: Callable[[], LoadedModel] = bento_model, **options: Any
) -> Iterator[RegistryWatcher]:
    """A watch that has started, and looks very often."""
    options = {"poll_seconds": 0.05, "answer_timeout": 10.0} | options
    watch = RegistryWatcher(RegistryClient(uri) if uri else None, baked, require_definitions, **options)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
