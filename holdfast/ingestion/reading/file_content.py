"""Content of a file: its bytes, decompressed."""

import gzip
import zlib
from pathlib import Path

from holdfast.core.errors import IngestError

_GZIP = b"\x1f\x8b"


def read_content(file: Path) -> bytes:
    """Read a file and decompress gzip.

    Args:
        file: File.

    Returns:
        Decompressed bytes, from which the digest of the source is computed.

    Raises:
        IngestError: The file is empty, broken or not readable by this user.
        OSError: The disk or network failed.
    """
    try:
        content = file.read_bytes()
    except PermissionError:
        raise IngestError(f"{file} is not readable by this user. Change its permissions.") from None
    if not content:
        raise IngestError(f"{file} is empty. Check the export that wrote it.")
    if content.startswith(_GZIP):
        try:
            return gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise IngestError(f"{file} is a broken gzip file ({error}). Copy or export it again.") from error
    if file.name.lower().endswith(".gz"):
        raise IngestError(f"{file} is not gzip although its name ends in .gz. Rename it or export it again.")
    return content
