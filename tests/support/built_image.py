"""Image under test."""

from dataclasses import dataclass
from pathlib import Path

from bentoml import Bento

from holdfast.container_image.build import BuiltImage
from tests.support.image_environment import ContainerEnvironment

IMAGE = "localhost/holdfast-test:latest"


@dataclass(frozen=True)
class Image:
    """Image under test, its bento, and the data folder."""

    environment: ContainerEnvironment
    built: BuiltImage
    bento: Bento
    data: Path
