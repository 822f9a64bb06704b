"""Data sets that come with an installed package, each with the mapping to read it."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion.batches import list_batches


@dataclass(frozen=True)
class Dataset:
    """Where a data set lies and what its bytes must be."""

    package: str
    file: str
    sha256: str
    mapping: Path


DATASETS = {
    "cdnow": Dataset(
        package="lifetimes",
        file="datasets/CDNOW_master.txt",
        sha256="eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef",
        mapping=Path(__file__).with_name("cdnow.yaml"),
    ),
}


def locate_dataset(name: str) -> tuple[Path, Path]:
    """Path of a data set's file and of its mapping.

    Raises:
        IngestError: the name is unknown, the package is not installed, or the file is not the expected one.
    """
    if name not in DATASETS:
        raise IngestError(f"Data set {name!r} is unknown. Known: {', '.join(DATASETS)}.")
    dataset = DATASETS[name]
    spec = importlib.util.find_spec(dataset.package)  # finds without importing: lifetimes no longer imports
    if spec is None or spec.origin is None:
        raise IngestError(f"Data set {name!r} is in package {dataset.package}, which is not installed. Install it.")
    path = Path(spec.origin).parent / dataset.file
    if not path.exists():
        raise IngestError(f"Data set {name!r}: {path} is missing. Reinstall package {dataset.package}.")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != dataset.sha256:
        raise IngestError(
            f"Data set {name!r}: {path} has SHA-256 {found}, expected {dataset.sha256}. "
            f"Reinstall package {dataset.package} at the locked version."
        )
    return path, dataset.mapping


def start_replay(settings: Settings, name: str) -> None:
    """Make the data folder one that replays a data set: "now" is where its data end, not today.

    Raises:
        IngestError: the folder holds data of another source, which would mix with the data set for good.
    """
    sources = {batch.source for batch in list_batches(settings)}
    if sources and Path(DATASETS[name].file).name not in sources:
        raise IngestError(
            f"{settings.data} holds {', '.join(sorted(sources))}; data set {name!r} would mix with it for good. "
            "Give --source and --mapping, or set HOLDFAST_DATA to another folder for the data set."
        )
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / REPLAY_MARKER).write_text(
        "This folder replays a historical data set: now is where its data end.\n"
    )


def require_no_replay(settings: Settings, source: str) -> None:
    """A source of one's own does not belong into a folder that replays a data set.

    Raises:
        IngestError: It would.
    """
    if (settings.data / REPLAY_MARKER).exists():
        raise IngestError(
            f"{settings.data} replays a historical data set; {source} would mix with it for good. Set HOLDFAST_DATA to "
            "a folder of its own."
        )
