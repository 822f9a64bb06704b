"""SQLAlchemy URLs of SQLite files whose paths have any characters."""

from pathlib import Path
from urllib.parse import quote, unquote

_DRIVERS = ("sqlite:///", "sqlite+pysqlite:///")
_FILE_URI, _OPTION = "file:", "?uri=true"


def sqlite_url(path: Path, driver: str | None = None) -> str:
    """Build the URL of a SQLite file.

    SQLAlchemy reads the path unquoted, up to a question mark. A path with a question mark is therefore given as a file
    URI, which SQLite decodes. The driver is then named: MLflow creates the parent folders of any ``sqlite:///`` path,
    and would create a folder ``file:``.

    Args:
        path: Absolute path of the file, which may not exist yet.
        driver: Driver of SQLAlchemy; default Python's own.

    Returns:
        The URL.
    """
    if "?" not in str(path):
        return f"sqlite+{driver}:///{path}" if driver else f"sqlite:///{path}"
    return f"sqlite+{driver or 'pysqlite'}:///{_FILE_URI}{quote(str(path))}{_OPTION}"


def read_only_sqlite_url(path: Path) -> str:
    """Build the URL of a SQLite file whose connections cannot write.

    Args:
        path: Absolute path of the file.

    Returns:
        The URL.
    """
    return f"sqlite+pysqlite:///{_FILE_URI}{quote(str(path))}?mode=ro&uri=true"


def sqlite_path(url: str) -> Path | None:
    """Find the file of the URL of a SQLite database.

    Args:
        url: URL of a database or a server.

    Returns:
        Path of the file, which may not exist yet; None for another URL.
    """
    for prefix in _DRIVERS:
        if url.startswith(prefix):
            name = url.removeprefix(prefix)
            if name.startswith(_FILE_URI) and "?" in name:
                return Path(unquote(name.removeprefix(_FILE_URI).partition("?")[0]))
            return Path(name)
    return None
