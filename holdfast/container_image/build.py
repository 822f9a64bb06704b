"""Build of a container image from a bento: BentoML writes the Dockerfile, the engine builds it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentoml import Bento
from bentoml.exceptions import NotFound

from feature_repo.settings import Settings
from holdfast.container_image.content_policy import check_contents
from holdfast.container_image.engine import ContainerEngine, ContainerEngineError, find_engine
from holdfast.container_image.pip_settings import write_build_secrets
from holdfast.packaging.bento import BENTO_NAME, DIGEST_LABEL, content_digest
from holdfast.packaging.bento_stores import open_bento_store

_LATEST = f"{BENTO_NAME}:latest"
_ROOT = Path(__file__).resolve().parents[2]
_MAX_PROBLEMS = 20  # in an error message


@dataclass(frozen=True)
class BuiltImage:
    """An image in the engine's store.

    Attributes:
        name: name:tag of the image.
        megabytes: Unpacked size by top-level folder.
    """

    name: str
    megabytes: dict[str, float]


def _build_image(
    engine: ContainerEngine, settings: Settings, bento: Bento, name: str | None = None, base_image: str | None = None
) -> BuiltImage:
    """Build the image with ``bentoml containerize`` and check its contents; an image with forbidden ones is removed."""
    name = name or str(bento.tag)
    options = [f"label={key}={value}" for key, value in _labels(bento).items()]
    if base_image:
        options.append(f"build-arg=BASE_IMAGE={base_image}")
    with tempfile.TemporaryDirectory() as folder:
        options += [f"secret={secret}" for secret in write_build_secrets(Path(folder))]
        _containerize(engine, settings, bento, name, options, Path(folder))
    contents = check_contents(engine.export_files(name))
    if contents.problems:
        engine.run("rmi", "--force", name)  # so that it cannot be published
        shown = "\n".join(contents.problems[:_MAX_PROBLEMS])
        more = (
            f"\n... and {len(contents.problems) - _MAX_PROBLEMS} more" if len(contents.problems) > _MAX_PROBLEMS else ""
        )
        raise ContainerEngineError(f"{name} had forbidden contents and was removed:\n{shown}{more}")
    return BuiltImage(name, contents.megabytes)


def build_latest(
    settings: Settings, name: str | None = None, engine: str | None = None, base_image: str | None = None
) -> BuiltImage:
    """Build the image of the latest bento in the store of the data folder.

    Args:
        settings: Data folder.
        name: name:tag of the image; the bento's tag for None.
        engine: docker or podman; the first available one for None.
        base_image: Base image; the one of bentofile.yaml for None.

    Returns:
        The image.

    Raises:
        ContainerEngineError: There is no such bento or engine, the build failed, or the contents are forbidden.
    """
    try:
        bento = open_bento_store(settings).get(_LATEST)
    except NotFound as error:
        raise ContainerEngineError(f"There is no bento {_LATEST} in {settings.data}: `make run` builds one.") from error
    return _build_image(find_engine(engine), settings, bento, name, base_image)


def _containerize(
    engine: ContainerEngine, settings: Settings, bento: Bento, name: str, options: list[str], folder: Path
) -> None:
    """Run ``bentoml containerize`` in a private folder; in a shared one other users could add modules and files.

    BentoML 1.4.39 copies the template to a temporary folder, and reads no template outside of the working folder.
    """
    command = [sys.executable, "-P", "-m", "bentoml", "containerize", str(bento.tag)]
    command += ["--backend", engine.name, "--image-tag", name]
    command += [part for option in options for part in ("--opt", option)]
    built = subprocess.run(
        command,
        env=os.environ | settings.environment() | dict(engine.environment) | _private(folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if built.returncode != 0:
        raise ContainerEngineError(f"bentoml containerize ended with status {built.returncode}: see its last lines.")


def _private(folder: Path) -> dict[str, str]:
    return {"TMPDIR": str(folder), "PYTHONSAFEPATH": "1"}


def _labels(bento: Bento) -> Mapping[str, str]:
    """Return the labels of the image, by the annotations of the OCI image specification."""
    models = ",".join(f"{model.tag.name}:{model.tag.version}" for model in bento.info.all_models)
    labels = {
        "org.opencontainers.image.title": bento.tag.name,
        "org.opencontainers.image.version": str(bento.tag.version),
        "org.opencontainers.image.created": bento.creation_time.isoformat(),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "holdfast.model": models,
    }
    revision = _revision(bento)
    return labels | ({"org.opencontainers.image.revision": revision} if revision else {})


def _revision(bento: Bento) -> str | None:
    """Return the commit of this checkout, with "-dirty" if files differ; None if the bento is of other sources."""
    models = bento.info.all_models
    if len(models) != 1 or bento.info.labels.get(DIGEST_LABEL) != content_digest(_ROOT, models[0].tag):
        return None
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
