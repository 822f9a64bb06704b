"""The one error of the ingest stage."""


class IngestError(ValueError):
    """A source, mapping or batch that ingest refuses. The message says what is wrong, where and what to do."""
