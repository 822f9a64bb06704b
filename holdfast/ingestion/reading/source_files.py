"""Files of a source: the file itself, or the files of a folder and its subfolders, none left out without a report."""

import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from holdfast.core.errors import IngestError
from holdfast.ingestion.file_rules import matches_file
from holdfast.ingestion.reading.file_names import (
    READABLE_NAMES,
    TABLE_LOGS,
    classify_name,
    find_hidden_folder_reason,
    find_table_format,
)
from holdfast.ingestion.reading.source import FileReport

_MOST_UNREAD = 0.1  # of the bytes that are read


@dataclass(frozen=True)
class ListedFile:
    """File that is read.

    Attributes:
        path: Path of the file.
        name: Name of the file; in a folder, its path within the folder with ``/`` between the parts.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class FileListing:
    """Files of a source.

    Attributes:
        files: Files that are read, sorted by path.
        left_out: Files and folders that are not read, with the reason.
    """

    files: list[ListedFile]
    left_out: list[FileReport] = field(default_factory=list)


def list_source_files(path: Path, exclude_files: Sequence[str] = (), all_readable: bool = True) -> FileListing:
    """List the files of a source. Links are followed; a file or folder that two paths lead to is read once.

    Args:
        path: File or folder.
        exclude_files: Patterns of names in a folder that are left out.
        all_readable: Reject a folder in which files that cannot be read hold a large part of the bytes.

    Returns:
        The file, or every file of the folder and its subfolders.

    Raises:
        IngestError: Nothing exists at ``path`` or at a link, a folder has no readable file, or files that cannot be
            read hold a large part of the bytes; or a table format's log decides which files count.
        OSError: The disk or network failed.
    """
    if path.is_dir():
        return _list_folder(path, exclude_files, all_readable)
    if not path.exists():
        link = f" It is a link to {path.readlink()}." if path.is_symlink() else ""
        raise IngestError(f"Source {path} does not exist.{link} Check the path given as --source.")
    return FileListing([ListedFile(path, path.name)])


def _list_folder(root: Path, exclude_files: Sequence[str], all_readable: bool) -> FileListing:
    for log, table_format in TABLE_LOGS.items():
        for parent in root.absolute().parents:
            if (parent / log).is_dir() and not any(matches_file(log, pattern) for pattern in exclude_files):
                _refuse_table_format(root, parent / log, table_format)
    entries = sorted(_walk(root), key=lambda entry: entry[0].relative_to(root).parts)
    files: list[tuple[ListedFile, os.stat_result]] = []
    left_out, unread_bytes, unread = [], 0, []
    for path, reason in entries:
        name = printable_name(path.relative_to(root))
        if any(matches_file(name, pattern) for pattern in exclude_files):
            reason = reason or "excluded by exclude_files"
        elif table_format := find_table_format(path.parent.name, path.name):
            _refuse_table_format(root, path, table_format)
        kind, name_reason = classify_name(path.name)
        if not reason and kind == "ignored":
            reason = name_reason
        if reason:
            left_out.append(FileReport(name, 0, reason))
            continue
        found = _stat(path)
        if not stat.S_ISREG(found.st_mode):
            left_out.append(FileReport(name, 0, "no regular file"))
        elif kind != "table":
            left_out.append(FileReport(name, 0, name_reason))
            if kind == "other" and found.st_size and all_readable:
                unread.append(f"{name} ({name_reason})")
                unread_bytes += found.st_size
        elif not found.st_size and (path.parent / "_SUCCESS").exists():
            left_out.append(FileReport(name, 0, "empty part of a complete Hadoop export"))
        else:
            files.append((ListedFile(path, name), found))
    distinct, linked = _skip_links(files)
    _require_read(root, distinct, unread, unread_bytes, left_out)
    return FileListing([file for file, _ in distinct], sorted([*left_out, *linked], key=lambda report: report.name))


def _refuse_table_format(root: Path, log: Path, table_format: str) -> NoReturn:
    name = printable_name(log.relative_to(root)) if log.is_relative_to(root) else str(log)
    raise IngestError(
        f"Folder {root} is a table of {table_format}: the log in {name} decides which files count, and others hold "
        "rows that were changed or removed. Export the table to one file. If no row was ever changed or removed, add "
        f"{log.name!r} to `exclude_files` in the mapping to read every file."
    )


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file with "", and each file or folder that is not entered with the reason."""
    visited: dict[tuple[int, int], Path] = {}
    folders: list[Path] = [root]
    links: list[Path] = []
    while folders or links:
        is_link = not folders
        folder = links.pop(0) if is_link else folders.pop(0)
        found = folder.stat()
        key = (found.st_dev, found.st_ino)
        if is_link and folder.resolve() in folder.parent.resolve().parents:
            yield folder, "link to a folder above it"
            continue
        if key in visited:
            yield folder, f"the same folder as {printable_name(visited[key].relative_to(root)) or root.name}"
            continue
        visited[key] = folder
        try:
            children = sorted(folder.iterdir())
        except PermissionError:
            raise IngestError(f"Folder {folder} is not readable by this user. Change its permissions.") from None
        if not children and folder != root:
            yield folder, "empty folder"
        for child in children:
            if not child.is_dir():
                yield child, ""
            elif reason := find_hidden_folder_reason(child.name):
                yield child, reason
            else:
                (links if child.is_symlink() else folders).append(child)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        if not path.is_symlink():
            raise IngestError(f"{path} disappeared while the folder was read. Ingest it again.") from None
        raise IngestError(
            f"{path} is a link to {path.readlink()}, which does not exist: is a disk or share not mounted? Mount it, "
            f"remove the link, or add its name to `exclude_files` in the mapping."
        ) from None
    except OSError as error:
        if not path.is_symlink():
            raise
        raise IngestError(f"{path} is a link that leads nowhere ({error.strerror}). Remove it.") from None


def _skip_links(
    files: list[tuple[ListedFile, os.stat_result]],
) -> tuple[list[tuple[ListedFile, os.stat_result]], list[FileReport]]:
    """Leave out further paths of the same file, links first."""
    first: dict[tuple[int, int], ListedFile] = {}
    for file, found in sorted(files, key=lambda item: item[0].path.is_symlink()):
        first.setdefault((found.st_dev, found.st_ino), file)
    distinct, reports = [], []
    for file, found in files:
        original = first[found.st_dev, found.st_ino]
        if original is file:
            distinct.append((file, found))
        else:
            reports.append(FileReport(file.name, 0, f"the same file as {original.name}"))
    return distinct, reports


def _require_read(
    root: Path,
    files: list[tuple[ListedFile, os.stat_result]],
    unread: list[str],
    unread_bytes: int,
    left_out: list[FileReport],
) -> None:
    """Reject a folder that cannot be read to a large part."""
    if not files:
        names = [f"{report.name} ({report.reason})" for report in left_out]
        found = f" Left out: {_list_names(names)}." if names else ""
        raise IngestError(f"Folder {root} has no readable file. Readable names end in {READABLE_NAMES}.{found}")
    read_bytes = sum(found.st_size for _, found in files)
    if unread_bytes > _MOST_UNREAD * read_bytes:
        raise IngestError(
            f"Folder {root} has files that cannot be read: {_list_names(unread)}. They hold {unread_bytes:,} bytes "
            f"beside {read_bytes:,} bytes that can be read. Export them with names that end in {READABLE_NAMES}, or "
            "name them under `exclude_files` in the mapping."
        )


def _list_names(names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def printable_name(path: Path) -> str:
    """Format a path within a folder for reports, with escapes for characters that cannot be printed.

    Args:
        path: Path relative to the folder; the folder itself gives "".

    Returns:
        Parts with ``/`` between them.
    """
    name = os.fsencode(path).decode("utf-8", "backslashreplace") if path.parts else ""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
        else character
        for character in name
    )
