"""A model version into BentoML's model store."""

import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import bentoml
from bentoml import Tag
from bentoml._internal.bento import BentoStore
from bentoml._internal.models import ModelStore
from bentoml.exceptions import NotFound

from feature_repo.settings import Settings
from holdfast.core.errors import PackagingError
from holdfast.models.contract import CONTRACT_FILE, MODEL_FILE, ServedModel


def save_served_model(settings: Settings, served: ServedModel, content: bytes) -> Tag:
    """Put model and contract into the model store and make them its latest; the same model again adds nothing.

    The model is put together beside the store and renamed into it, so the store never holds half of one.

    Raises:
        PackagingError: ``content`` is not that of the file the contract names.
    """
    if (digest := hashlib.sha256(content).hexdigest()) != served.model_sha256:
        raise PackagingError(
            f"The model file has SHA-256 {digest[:12]}, but its contract names {served.model_sha256[:12]}. "
            "Nothing was saved."
        )
    tag = Tag(served.model_name, f"v{served.model_version}-{served.model_sha256[:8]}")
    place = settings.data / "bentoml" / "models" / tag.path()
    try:
        open_model_store(settings).get(tag)
    except NotFound:
        _create(tag, served, content, place)
    set_latest(place.parent, tag)  # also when the model was there: a rollback makes it the latest again
    return tag


def _create(tag: Tag, served: ServedModel, content: bytes, place: Path) -> None:
    scratch = place.parents[2] / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        with bentoml.models.create(
            tag,
            module="holdfast.models.contract",
            labels={
                "version": served.model_version,
                "feature_service": served.feature_service,
                "sha256": served.model_sha256[:12],
            },
            metadata={
                "threshold": served.threshold,
                "horizon_days": served.horizon_days,
                "activity_days": served.activity_days,
                "inputs": list(served.inputs),
                "fingerprint": dict(served.fingerprint),
                "model_sha256": served.model_sha256,
            },
            context=bentoml.models.ModelContext(
                framework_name="scikit-learn",
                framework_versions={name: version(name) for name in ("scikit-learn", "skops")},
            ),
            _model_store=ModelStore(folder),
        ) as model:
            Path(model.path_of(MODEL_FILE)).write_bytes(content)
            Path(model.path_of(CONTRACT_FILE)).write_text(served.model_dump_json(indent=2) + "\n")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            (Path(folder) / tag.path()).rename(place)
        except OSError:
            if not place.is_dir():
                raise  # else another process saved the same model meanwhile


def open_model_store(settings: Settings) -> ModelStore:
    """The models, created if need be."""
    folder = settings.data / "bentoml" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return ModelStore(folder)


def open_bento_store(settings: Settings) -> BentoStore:
    """The bentos, created if need be."""
    folder = settings.data / "bentoml" / "bentos"
    folder.mkdir(parents=True, exist_ok=True)
    return BentoStore(folder)


def set_latest(versions: Path, tag: Tag) -> None:
    """Let ``NAME:latest`` name ``tag``, in one step; ``versions`` is the folder of all versions of the name.

    BentoML itself moves it only to what is newly saved, so a rollback would not move it back.
    """
    scratch = versions / f".latest-{os.getpid()}"
    scratch.write_text(str(tag.version))
    scratch.replace(versions / "latest")
