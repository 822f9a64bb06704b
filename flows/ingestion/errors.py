"""The one error of the ingest stage."""

from holdfast.core.errors import HoldfastError


class IngestError(HoldfastError):
    """A source, mapping or batch that ingest refuses. The message says what is wrong, where and what to do."""
