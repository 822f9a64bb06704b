"""Folders of the snapshot sources of feature views."""

from pathlib import Path
from typing import TYPE_CHECKING

from feature_repo.settings import Settings

if TYPE_CHECKING:
    from feast import FileSource


def snapshot_folder(source: "FileSource") -> Path:
    """Return the folder or file that a data source reads.

    Feast needs absolute paths, but a version of the definitions is registered once: after its data folder was moved or
    copied, its snapshots are in the data folder of today.

    Args:
        source: Data source from Feast's registry. Snapshot sources have the tag ``sql``.

    Returns:
        The folder of a snapshot source in the data folder; the path of any other source.
    """
    path = Path(source.path)
    return Settings.from_environment().snapshots.joinpath(*path.parts[-2:]) if "sql" in source.tags else path
