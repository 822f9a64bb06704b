"""Names of files in a folder: tables, and the kinds of files that are no part of a source."""

from pathlib import PurePath
from typing import Literal

NameKind = Literal["table", "ignored", "document", "other"]

_TABLES = (
    *("csv", "txt", "tsv", "tab", "psv", "dat", "parquet", "parq", "pq", "arrow", "feather", "orc"),
    *("xlsx", "xlsm", "xlsb", "xls", "ods"),
)
_COMPRESSIONS = ("gz", "zip", "zst", "lz4", "bz2", "xz", "tar", "tgz")
_UNFINISHED = (
    *("part", "partial", "crdownload", "download", "opdownload", "filepart", "incomplete", "uploading", "writing"),
    *("tmp", "temp", "aria2", "swp", "lock"),
)
_BACKUPS = ("bak", "backup", "orig", "old")
_SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
_SYSTEM_FOLDERS = ("$recycle.bin", "system volume information", "@eadir", "lost+found")
TABLE_LOGS = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}
_DOCUMENTS = (
    *("md", "rst", "pdf", "doc", "docx", "odt", "rtf", "ppt", "pptx", "png", "jpg", "jpeg", "gif", "svg", "webp"),
    *("yaml", "yml", "toml", "ini", "cfg", "log", "err", "py", "r", "ipynb", "sh", "bat", "sql", "js", "css"),
    *("md5", "sha1", "sha256", "sig", "asc", "license", "url", "lnk", "webloc", "eml"),
)
_DOCUMENT_NAMES = ("readme", "license", "makefile", "changelog", "notice")
READABLE_NAMES = ".csv, .tsv, .txt, .xlsx, .ods or .parquet, also compressed (.gz, .zip, .zst, ...)"


def classify_name(name: str) -> tuple[NameKind, str]:
    """Classify a file of a folder by its name.

    Args:
        name: Name of the file without its folder.

    Returns:
        ``table``: the file is read; ``ignored``: no part of a source (hidden, unfinished, a backup); ``document``: no
        table; ``other``: possibly a table that cannot be read. And the reason why it is left out, "" for a table.
    """
    lower = name.lower()
    *_, before, ending = ("", *PurePath(lower).suffixes) if "." in lower.strip(".") else ("", "", "")
    before, ending = before[1:], ending[1:]
    if lower.startswith("~$") or lower.startswith(".~lock."):
        return "ignored", "lock file of a spreadsheet program"
    if lower in _SYSTEM_FILES or ending == "crc" or lower.startswith("._") or lower == ".ds_store":
        return "ignored", "file of the operating system or of Hadoop"
    if ending in _UNFINISHED:
        return "ignored", "unfinished or temporary file"
    if lower.endswith("~") or ending in _BACKUPS or (lower.startswith("#") and lower.endswith("#")):
        return "ignored", "backup copy"
    if lower.startswith((".", "_")):
        return "ignored", "hidden, because its name starts with " + lower[0]
    if ending in _TABLES or ending in _COMPRESSIONS:
        if ending in _COMPRESSIONS and before in _UNFINISHED:
            return "ignored", "unfinished or temporary file"
        return "table", ""
    if not ending and lower.startswith("part-"):  # parts of a table that Hadoop writes
        return "table", ""
    if ending in _DOCUMENTS or lower in _DOCUMENT_NAMES:
        return "document", "no table"
    return "other", f"names that end in .{ending} are not read" if ending else "its name has no ending"


def find_hidden_folder_reason(name: str) -> str:
    """Return why a folder is no part of a source.

    Args:
        name: Name of the folder without its parents.

    Returns:
        The reason; "" for a folder that is read.
    """
    if name.lower() in _SYSTEM_FOLDERS:
        return "folder of the operating system"
    return f"hidden folder, because its name starts with {name[0]}" if name.startswith((".", "_")) else ""


def find_table_format(folder: str, name: str) -> str:
    """Name the table format whose log a file belongs to.

    Args:
        folder: Name of the folder that has the file.
        name: Name of the file or folder.

    Returns:
        Table format; "" for other files.
    """
    if folder == "metadata" and name.endswith(".metadata.json"):
        return "Iceberg"
    return TABLE_LOGS.get(name, "")
