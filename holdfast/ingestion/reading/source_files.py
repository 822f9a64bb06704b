"""Files of a source: the file itself, or the files of a folder."""

from pathlib import Path

from holdfast.core.errors import IngestError

_SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".parquet")


def list_source_files(path: Path) -> list[Path]:
    """List the files of a source.

    Args:
        path: File or folder.

    Returns:
        The file, or the readable files of the folder, sorted by name.

    Raises:
        IngestError: Nothing exists at ``path``, or the folder has no readable file.
    """
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith((".", "_"))]
        usable = [file for file in files if file.name.lower().endswith(_SUFFIXES)]
        if not usable:
            raise IngestError(f"Folder {path} has no readable file. Readable names end in {', '.join(_SUFFIXES)}.")
        return usable
    if not path.exists():
        raise IngestError(f"Source {path} does not exist. Check the path given as --source.")
    return [path]
