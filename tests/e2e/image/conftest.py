"""One small service_data, its bento, the image of it, and one container that all tests ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from bentoml import Bento

from holdfast.container_image.build import BuiltImage, build_image
from holdfast.packaging.bento import build_bento
from holdfast.packaging.bento_stores import open_bento_store, open_model_store
from tests.support import image_environment
from tests.support.containers import Container, running
from tests.support.main_job import ROOT
from tests.support.service_fixtures import service_data, service_environment
from tests.support.service_state import AS_OF

__all__ = ["service_data"]  # a fixture

IMAGE = "localhost/holdfast-test:latest"


@dataclass(frozen=True)
class Image:
    """The image under test, the bento in it, and the data folder to serve from."""

    image_environment: image_environment.Prepared
    built: BuiltImage
    bento: Bento
    data: Path


@pytest.fixture(scope="session")
def ready() -> image_environment.Prepared:
    """Made by `make test-image`; nothing of a machine is changed by plain pytest."""
    if image_environment.now is None:
        pytest.skip("`make test-image` makes the engine ready that this needs")
    return image_environment.now


@pytest.fixture(scope="session")
def image(ready: image_environment.Prepared, service_data: Path) -> Image:
    """Built as `make image` builds it."""
    with service_environment(service_data) as settings:
        model = open_model_store(settings).get("holdfast-churn:latest").tag
        bento = open_bento_store(settings).get(build_bento(ROOT, settings, model))
        built = build_image(ready.engine, settings, bento, IMAGE, ready.base_image)
    return Image(ready, built, bento, service_data)


@pytest.fixture(scope="session")
def predictions(image: Image) -> Iterator[str]:
    """An empty volume."""
    name = f"holdfast-test-{uuid4().hex[:12]}"
    image.prepared.engine.run("volume", "create", name)
    yield name
    image.prepared.engine.run("volume", "rm", "--force", name)


@pytest.fixture(scope="session")
def container(image: Image, predictions: str) -> Iterator[Container]:
    """Ready; "now" is ``AS_OF``."""
    with running(image.prepared, IMAGE, image.data, predictions, HOLDFAST_CLOCK=AS_OF.isoformat()) as started:
        started.ready_after()
        yield started
