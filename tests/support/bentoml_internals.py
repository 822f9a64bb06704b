"""Private names of BentoML that tests need; tests/unit/services/test_bentoml_patches.py checks each of these names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.types import ASGIApp

WORKER_MODULE = "_bentoml_impl.worker.service"  # in the command line of each serving process


def create_asgi_app() -> ASGIApp:
    """Create the application of ``ChurnService.to_asgi()`` without metrics, which a process can register only once."""
    from _bentoml_impl.server.app import ServiceAppFactory

    from services.churn import ChurnService

    ChurnService.inject_config()
    return ServiceAppFactory(ChurnService, is_main=True, enable_metrics=False)()


@contextmanager
def model_store(folder: Path) -> Iterator[None]:
    """Make this process read models from ``folder``."""
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.models import ModelStore

    BentoMLContainer.model_store.set(ModelStore(folder))
    try:
        yield
    finally:
        BentoMLContainer.model_store.reset()
