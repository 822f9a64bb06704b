"""BentoML's model store and bento store of a data folder."""

import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from bentoml import Tag
from bentoml.exceptions import NotFound
from bentoml.models import ModelContext

from feature_repo.settings import Settings
from holdfast.core.errors import PackagingError
from holdfast.models.contract import CONTRACT_FILE, MODEL_FILE, ServedModel
from holdfast.packaging.bentoml_internals import BentoStore, ModelStore, create_model


def open_model_store(settings: Settings) -> ModelStore:
    """Open the model store; create its folder if necessary.

    Args:
        settings: Data folder.

    Returns:
        The store.
    """
    return ModelStore(_create_folder(settings, "models"))


def open_bento_store(settings: Settings) -> BentoStore:
    """Open the bento store; create its folder if necessary.

    Args:
        settings: Data folder.

    Returns:
        The store.
    """
    return BentoStore(_create_folder(settings, "bentos"))


def save_served_model(settings: Settings, served: ServedModel, content: bytes) -> Tag:
    """Save model and contract in the model store, and make them its latest; an existing model is not saved again.

    The model is assembled next to the store and renamed into it, so the store never holds an incomplete model.

    Args:
        settings: Data folder.
        served: Contract of the model.
        content: The model file.

    Returns:
        The tag in the model store.

    Raises:
        PackagingError: ``content`` is not the file that the contract names.
    """
    if (digest := hashlib.sha256(content).hexdigest()) != served.model_sha256:
        raise PackagingError(
            f"The model file has SHA-256 {digest[:12]}, but its contract names {served.model_sha256[:12]}. "
            "Nothing was saved."
        )
    tag = Tag(served.model_name, f"v{served.model_version}-{served.model_sha256[:8]}")
    folder = settings.data / "bentoml" / "models" / tag.path()
    try:
        open_model_store(settings).get(tag)
    except NotFound:
        _create(tag, served, content, folder)
    set_latest(folder.parent, tag)  # also for an existing model: a rollback makes it the latest again
    return tag


def set_latest(versions: Path, tag: Tag) -> None:
    """Let ``NAME:latest`` name a tag, atomically.

    BentoML itself sets it for newly saved models and bentos only, so a rollback would not move it back.

    Args:
        versions: Folder with all versions of the name.
        tag: The tag.
    """
    scratch = versions / f".latest-{os.getpid()}"
    scratch.write_text(str(tag.version))
    scratch.replace(versions / "latest")


def _create_folder(settings: Settings, name: str) -> Path:
    folder = settings.data / "bentoml" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _create(tag: Tag, served: ServedModel, content: bytes, folder: Path) -> None:
    scratch = folder.parents[2] / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as store:
        with create_model(
            Path(store),
            tag,
            module="holdfast.models.contract",
            labels={
                "version": served.model_version,
                "feature_service": served.feature_service,
                "sha256": served.model_sha256[:12],
            },
            metadata={
                "threshold": served.threshold,
                "label": served.label_name,
                "horizon_days": served.horizon_days,
                "activity_days": served.activity_days,
                "grace_days": served.grace_days,
                "inputs": list(served.inputs),
                "fingerprint": dict(served.fingerprint),
                "model_sha256": served.model_sha256,
            },
            context=ModelContext(
                framework_name="scikit-learn",
                framework_versions={name: version(name) for name in ("scikit-learn", "skops")},
            ),
        ) as model:
            Path(model.path_of(MODEL_FILE)).write_bytes(content)
            Path(model.path_of(CONTRACT_FILE)).write_text(served.model_dump_json(indent=2) + "\n")
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            (Path(store) / tag.path()).rename(folder)
        except OSError:
            if not folder.is_dir():
                raise  # otherwise another process has saved the same model meanwhile
