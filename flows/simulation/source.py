"""A copy of the source tree, to change: the product's own is never touched."""

import shutil
from pathlib import Path

from simulations.workspace import ROOT

_TREES = ("deploy", "docs", "feature_repo", "flows", "services")
_FILES = ("bentofile.yaml", "prefect.yaml", "pyproject.toml", "requirements.lock", "requirements-serving.lock")


def copy_source(to: Path) -> Path:
    """All that is needed to run Holdfast from ``to``."""
    to.mkdir(parents=True)
    for name in _TREES:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "pictures"))
    for name in _FILES:
        shutil.copy2(ROOT / name, to / name)
    return to


def change(source: Path, file: str, old: str, new: str) -> None:
    """Change what stands once in a file.

    Raises:
        ValueError: It does not.
    """
    text = (source / file).read_text()
    if text.count(old) != 1:
        raise ValueError(f"{file} holds {old!r} {text.count(old)} times, not once: change the simulation with it.")
    (source / file).write_text(text.replace(old, new))
