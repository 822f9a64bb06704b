"""Content policy of the container image: allowed and forbidden paths, whatever built the image."""

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BENTO = "home/bentoml/bento"
_PYTHON = r"(?:[\w-]+/)*(?:__pycache__/[\w.-]+\.pyc|\w+\.py)"

# Every file must match one of these.
_ALLOWED = re.compile(
    "|".join(
        [
            r"(?:bin|boot|dev|etc|lib\w*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)(?:/.*)?",
            r"\.dockerenv",  # Docker adds this empty file to exports
            r"app/\.venv/.+",
            rf"{_BENTO}/(?:bento\.yaml|README\.md|apis/(?:openapi\.yaml|schema\.json)|env/docker/entrypoint\.sh)",
            rf"{_BENTO}/src/services/{_PYTHON}",
            rf"{_BENTO}/src/feature_repo/(?:{_PYTHON}|(?:models/)?[\w.]+\.yaml|\.feastignore)",
            rf"{_BENTO}/src/holdfast/(?:__pycache__/__init__[\w.-]*\.pyc|__init__\.py)",
            rf"{_BENTO}/src/holdfast/(?:core|feast_stores|models|online_features)/{_PYTHON}",
            rf"{_BENTO}/models/[\w.-]+/(?:latest|[\w.-]+/(?:model\.yaml|contract\.json|model\.skops))",
        ]
    )
)

# No path may match one of these.
_FORBIDDEN = {
    "a tool to build or fetch": re.compile(
        r"(?:.*/)?s?bin/(?:[\w-]*g?(?:cc|\+\+|cpp)(?:-[\d.]+)?|c\d\d|clang.*|ld|as|g?make|cmake|ninja|cargo|rustc|go"
        r"|pip[\d.]*|pipx|uv|uvx|poetry|conda|git[\w-]*|curl|wget|mypyc?|pytest|dpkg-buildpackage|easy_install.*)"
    ),
    "a Python package to build, install or test with": re.compile(
        r".*/(?:site|dist)-packages/(?:pip|uv|setuptools|pkg_resources|wheel|ensurepip|mypyc?|pytest|_pytest|hatchling)"
        r"(?:-[\w.]+\.(?:dist|egg)-info)?(?:/.*)?|.*/ensurepip/.*|.*\.whl"
    ),
    "a list or cache of packages": re.compile(r"var/lib/apt/.+|var/cache/.+|.*\.deb|root/\.cache/.*|.*/\.cache/.*"),
    "a file of this project that the service does not need": re.compile(
        r"app/\.venv/lib/[\w.]+/site-packages/(?:flows|simulations|tests?|benchmarks|deploy|docs|data|examples|requirements)/.*"
        r"|(?!app/\.venv/)(?:.*/)?(?:flows|simulations|benchmarks|snapshots|batches|mlruns|\.git)/.*|(?:.*/)?tests/.*"
        r"|(?!app/\.venv/)(?:.*/)?(?:requirements[\w-]*\.(?:txt|lock)|bentofile\.yaml|pyproject\.toml|prefect\.yaml)"
    ),
    "data": re.compile(
        r".*\.(?:csv|tsv|parquet|feather|arrow|xlsx?|db|sqlite\d?|duckdb|pkl|pickle|jsonl)(?:\.gz|\.zip|\.bz2)?"
    ),
    "a secret, or a setting of the machine that built it": re.compile(
        r"(?:.*/)?(?:\.env(?:\..*)?|\.netrc|\.pypirc|id_rsa|credentials|pip\.conf|uv\.toml)|run/secrets/.+"
    ),
}


@dataclass(frozen=True)
class ImageContents:
    """Contents of an image.

    Attributes:
        problems: One sentence per violation of the policy.
        megabytes: Size by top-level folder.
    """

    problems: list[str]
    megabytes: dict[str, float]


def check_contents(files: Iterable[tarfile.TarInfo]) -> ImageContents:
    """Check that each file is allowed, none is forbidden, and the service cannot change its own files.

    Args:
        files: The files of the image.

    Returns:
        Violations and sizes.
    """
    problems: list[str] = []
    sizes: dict[str, float] = {}
    for file in files:
        path = file.name.removeprefix("./").strip("/")
        top = path.partition("/")[0]
        sizes[top] = sizes.get(top, 0.0) + file.size / 1e6
        if not file.isdir():
            problems += _problems(path, file)
    return ImageContents(problems, sizes)


def _problems(path: str, file: tarfile.TarInfo) -> Iterator[str]:
    if not _ALLOWED.fullmatch(path):
        yield f"{path} is not an allowed file"
    for what, pattern in _FORBIDDEN.items():
        if pattern.fullmatch(path):
            yield f"{path} is {what}"
    own = path.startswith(("app/", "home/"))
    if own and not file.issym() and (file.uid != 0 or file.mode & 0o022 or file.mode & 0o6000):
        yield f"{path} can be changed by other users than root, or runs as another user"
