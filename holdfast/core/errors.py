"""The root of every error that a person can act on."""


class HoldfastError(ValueError):
    """Says what is wrong, where, and what to do. The command line prints it as one line, without a traceback."""


class IngestError(HoldfastError):
    """A source, mapping or batch that ingest refuses. The message says what is wrong, where and what to do."""


class PackagingError(HoldfastError):
    """The champion cannot be packaged; the message says why and what to do."""


class PromotionRefusedError(HoldfastError):
    """The version did not pass its gates or was not approved; the champion stays."""


class ApprovalRefusedError(PromotionRefusedError):
    """A person said no, or nothing in time."""


class TrafficError(HoldfastError):
    """The challenger gets no other traffic than before."""


class RollbackError(HoldfastError):
    """There is nothing to roll back to; the champion stays."""
