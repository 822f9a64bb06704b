"""Bento with the service, the feature repository, the locked dependencies and the champion."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import yaml
from bentoml import Tag
from bentoml.exceptions import NotFound

from feature_repo.settings import Settings
from holdfast.core.errors import PackagingError
from holdfast.packaging.bento_stores import open_bento_store, open_model_store, set_latest

BENTO_NAME = "holdfast"
_BENTOFILE = "bentofile.yaml"
DIGEST_LABEL = "content"


def content_digest(project_root: Path, model: Tag) -> str:
    """Compute a digest of the content of a bento.

    Args:
        project_root: Folder with bentofile.yaml.
        model: The model in the bento.

    Returns:
        The first 16 hex digits of a SHA-256 over the included files and the model's tag.
    """
    build = yaml.safe_load((project_root / _BENTOFILE).read_text())
    template = build.get("docker", {}).get("dockerfile_template")
    patterns = [_BENTOFILE, build["python"]["requirements_txt"], *build["include"], *([template] if template else [])]
    files = {file for pattern in patterns for file in project_root.glob(pattern) if file.is_file()}
    digest = hashlib.sha256(str(model).encode())
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"\n{file.relative_to(project_root).as_posix()} {content}".encode())
    return digest.hexdigest()[:16]


def build_bento(project_root: Path, settings: Settings, model: Tag) -> Tag:
    """Build the bento of bentofile.yaml, or find one with the same content, and make it the latest bento.

    Args:
        project_root: Folder with bentofile.yaml.
        settings: Data folder.
        model: The model in the bento; has to be the latest of the model store.

    Returns:
        The tag of the bento.

    Raises:
        PackagingError: ``bentoml build`` failed, or the bento has another model.
    """
    digest = content_digest(project_root, model)
    tag = _find_bento(settings, digest) or _build(project_root, settings, model, digest)
    set_latest(Path(open_bento_store(settings).get(tag).path).parent, tag)
    return tag


def bento_size(settings: Settings, tag: Tag) -> int:
    """Return the size of a bento and its model.

    Args:
        settings: Data folder.
        tag: The bento.

    Returns:
        Bytes.
    """
    return int(open_bento_store(settings).get(tag).total_size(open_model_store(settings)))


def _build(project_root: Path, settings: Settings, model: Tag, digest: str) -> Tag:
    """Run ``bentoml build`` in another process: it imports the service, which may be loaded here in another state."""
    command = [sys.executable, "-P", "-m", "bentoml", "build", "--output", "tag", "--label", f"{DIGEST_LABEL}={digest}"]
    completed = subprocess.run(
        [*command, str(project_root)],
        env=os.environ | settings.environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode != 0:
        lines = (completed.stderr or completed.stdout).strip().splitlines()
        raise PackagingError("bentoml build failed: " + " ".join(line.strip() for line in lines[-3:]))
    tag = Tag.from_str(completed.stdout.strip().splitlines()[-1].removeprefix("__tag__:"))
    models = [str(info.tag) for info in open_bento_store(settings).get(tag).info.all_models]
    if models != [str(model)]:
        open_bento_store(settings).delete(tag)
        raise PackagingError(f"The bento has {', '.join(models)} instead of {model}: another run saved a model.")
    return tag


def _find_bento(settings: Settings, digest: str) -> Tag | None:
    """Return the newest bento with a digest."""
    try:
        bentos = open_bento_store(settings).list(BENTO_NAME)
    except NotFound:
        return None
    same = [bento for bento in bentos if bento.info.labels.get(DIGEST_LABEL) == digest]
    return max(same, key=lambda bento: bento.creation_time).tag if same else None
