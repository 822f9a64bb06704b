"""From a bento to its image: BentoML writes the Dockerfile, the engine builds it, and the result is looked through."""

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
from holdfast.packaging.bento import BENTO_NAME, content_digest
from holdfast.packaging.bento_stores import open_bento_store

LATEST = f"{BENTO_NAME}:latest"
_ROOT = Path(__file__).resolve().parents[2]
_DIGEST_LABEL = "content"  # as holdfast.packaging.bento sets it
_SHOWN = 20


@dataclass(frozen=True)
class BuiltImage:
    """An image as it is in the engine's store."""

    name: str
    megabytes: dict[str, float]  # unpacked, of each of the top folders


def build_image(
    engine: ContainerEngine, settings: Settings, bento: Bento, name: str | None = None, base_image: str | None = None
) -> BuiltImage:
    """``bentoml containerize`` of ``bento`` as ``name`` (the bento's own if not given), on ``base_image`` if given.

    Raises:
        EngineError: It was not built, or holds what it must not.
    """
    name = name or str(bento.tag)
    options = [f"label={key}={value}" for key, value in _labels(bento).items()]
    if base_image:
        options.append(f"build-arg=BASE_IMAGE={base_image}")
    with tempfile.TemporaryDirectory() as folder:
        options += [f"secret={secret}" for secret in write_build_secrets(Path(folder))]
        _containerize(engine, settings, bento, name, options)
    found = check_contents(engine.export_files(name))
    if found.problems:
        engine.run("rmi", "--force", name)  # lest somebody publishes it
        shown = "\n".join(found.problems[:_SHOWN])
        more = f"\n... and {len(found.problems) - _SHOWN} more" if len(found.problems) > _SHOWN else ""
        raise ContainerEngineError(f"{name} held what it must not, and was removed:\n{shown}{more}")
    return BuiltImage(name, found.megabytes)


def build_latest(
    settings: Settings,
    name: str | None = None,
    engine: str | None = None,
    base_image: str | None = None,
    bento: str = LATEST,
) -> BuiltImage:
    """The image of a bento of this data folder's store, by the engine called ``engine`` or the first that answers.

    Raises:
        EngineError: There is no such bento, no engine answers, or it was not built as it should be.
    """
    try:
        found = open_bento_store(settings).get(bento)
    except NotFound as error:
        raise ContainerEngineError(f"There is no bento {bento} in {settings.data}: `make run` makes one.") from error
    return build_image(find_engine(engine), settings, found, name, base_image)


def _containerize(engine: ContainerEngine, settings: Settings, bento: Bento, name: str, options: list[str]) -> None:
    command = [sys.executable, "-m", "bentoml", "containerize", str(bento.tag)]
    command += ["--backend", engine.name, "--image-tag", name]
    command += [part for option in options for part in ("--opt", option)]
    built = subprocess.run(
        command,
        env=os.environ | settings.environment() | dict(engine.environment),
        cwd=tempfile.gettempdir(),  # BentoML 1.4.39 copies the template there, and reads none outside of here
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if built.returncode != 0:
        raise ContainerEngineError(
            f"bentoml containerize ended with status {built.returncode}: its last lines say why."
        )


def _labels(bento: Bento) -> Mapping[str, str]:
    """What a registry and its users read about the image; see the OCI image specification's annotations."""
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
    """The commit of this checkout, with "-dirty" if files differ from it; None if the bento is of other sources."""
    models = bento.info.all_models
    if len(models) != 1 or bento.info.labels.get(_DIGEST_LABEL) != content_digest(_ROOT, models[0].tag):
        return None
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
