"""Sources made of files that are already read."""

from holdfast.ingestion.reading.source import Source, SourceFile


def typed_source(*files: SourceFile) -> Source:
    """Build a source of read files."""
    return Source(name=files[0].name, sha256="0" * 64, files=list(files))
