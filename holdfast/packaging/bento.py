"""The bento: services, feature repository, locked dependencies and the champion's model in one archive."""

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
BENTOFILE = "bentofile.yaml"
_DIGEST_LABEL = "content"


def content_digest(project_root: Path, model: Tag) -> str:
    """Sixteen hex digits that name what a bento of ``project_root`` with ``model`` would hold."""
    build = yaml.safe_load((project_root / BENTOFILE).read_text())
    template = build.get("docker", {}).get("dockerfile_template")
    patterns = [BENTOFILE, build["python"]["requirements_txt"], *build["include"], *([template] if template else [])]
    files = {file for pattern in patterns for file in project_root.glob(pattern) if file.is_file()}
    digest = hashlib.sha256(str(model).encode())
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"\n{file.relative_to(project_root).as_posix()} {content}".encode())
    return digest.hexdigest()[:16]


def build_bento(project_root: Path, settings: Settings, model: Tag) -> Tag:
    """The bento of ``bentofile.yaml`` with ``model``, which is the store's latest; it is the latest bento then.

    The same content is not built twice.

    Raises:
        PackagingError: ``bentoml build`` failed, or took up another model.
    """
    digest = content_digest(project_root, model)
    tag = _bento_of(settings, digest) or _build(project_root, settings, model, digest)
    set_latest(Path(open_bento_store(settings).get(tag).path).parent, tag)
    return tag


def _build(project_root: Path, settings: Settings, model: Tag, digest: str) -> Tag:
    """BentoML's own command in a process of its own: it imports the service, of which this may hold another state."""
    command = [sys.executable, "-m", "bentoml", "build", "--output", "tag", "--label", f"{_DIGEST_LABEL}={digest}"]
    built = subprocess.run(
        [*command, str(project_root)],
        env=os.environ | settings.environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        lines = (built.stderr or built.stdout).strip().splitlines()
        raise PackagingError("bentoml build failed: " + " ".join(line.strip() for line in lines[-3:]))
    tag = Tag.from_str(built.stdout.strip().splitlines()[-1].removeprefix("__tag__:"))
    holds = [str(info.tag) for info in open_bento_store(settings).get(tag).info.all_models]
    if holds != [str(model)]:
        open_bento_store(settings).delete(tag)
        raise PackagingError(f"The bento holds {', '.join(holds)} instead of {model}: another run saved a model.")
    return tag


def bento_size(settings: Settings, tag: Tag) -> int:
    """Bytes of the bento and the model in it."""
    return int(open_bento_store(settings).get(tag).total_size(open_model_store(settings)))


def _bento_of(settings: Settings, digest: str) -> Tag | None:
    try:
        store = open_bento_store(settings).list(BENTO_NAME)
    except NotFound:
        return None
    bentos = [bento for bento in store if bento.info.labels.get(_DIGEST_LABEL) == digest]
    return max(bentos, key=lambda bento: bento.creation_time).tag if bentos else None
