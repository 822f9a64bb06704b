"""Fixtures of the image tests: a small data folder, its bento, the image, and a shared container."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from holdfast.container_image.build import _build_image
from holdfast.packaging.bento import build_bento
from holdfast.packaging.bento_stores import open_bento_store, open_model_store
from tests.support import image_environment
from tests.support.built_image import IMAGE, Image
from tests.support.containers import Container, running_container
from tests.support.main_job import ROOT
from tests.support.service_fixtures import service_data, service_environment
from tests.support.service_state import AS_OF

__all__ = ["service_data"]  # a fixture


@pytest.fixture(scope="session")
def container_environment() -> image_environment.ContainerEnvironment:
    """The engine that `make test-image` has prepared; pytest alone installs nothing."""
    if image_environment.current is None:
        pytest.skip("requires the container engine of `make test-image`")
    return image_environment.current


@pytest.fixture(scope="session")
def image(container_environment: image_environment.ContainerEnvironment, service_data: Path) -> Image:
    """The image, built as `make image` does."""
    with service_environment(service_data) as settings:
        model = open_model_store(settings).get("holdfast-churn:latest").tag
        bento = open_bento_store(settings).get(build_bento(ROOT, settings, model))
        built = _build_image(container_environment.engine, settings, bento, IMAGE, container_environment.base_image)
    return Image(container_environment, built, bento, service_data)


@pytest.fixture(scope="session")
def predictions(image: Image) -> Iterator[str]:
    """An empty volume for the prediction log."""
    name = f"holdfast-test-{uuid4().hex[:12]}"
    image.environment.engine.run("volume", "create", name)
    yield name
    image.environment.engine.run("volume", "rm", "--force", name)


@pytest.fixture(scope="session")
def container(image: Image, predictions: str) -> Iterator[Container]:
    """A ready container, whose clock is at ``AS_OF``."""
    with running_container(
        image.environment, IMAGE, image.data, predictions, HOLDFAST_CLOCK=AS_OF.isoformat()
    ) as started:
        started.wait_until_ready()
        yield started
