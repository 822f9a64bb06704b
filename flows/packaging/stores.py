"""BentoML's stores of one data folder.

The public API works on the stores of the process-wide BENTOML_HOME, read once; the settings name the folder here.
"""

import os
from pathlib import Path

from bentoml import Tag
from bentoml._internal.bento import BentoStore
from bentoml._internal.models import ModelStore

from feature_repo.settings import Settings


def model_store(settings: Settings) -> ModelStore:
    """The models, created if need be."""
    folder = settings.data / "bentoml" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return ModelStore(folder)


def bento_store(settings: Settings) -> BentoStore:
    """The bentos, created if need be."""
    folder = settings.data / "bentoml" / "bentos"
    folder.mkdir(parents=True, exist_ok=True)
    return BentoStore(folder)


def make_latest(versions: Path, tag: Tag) -> None:
    """Let ``NAME:latest`` name ``tag``, in one step; ``versions`` is the folder of all versions of the name.

    BentoML itself moves it only to what is newly saved, so a rollback would not move it back.
    """
    scratch = versions / f".latest-{os.getpid()}"
    scratch.write_text(str(tag.version))
    scratch.replace(versions / "latest")
