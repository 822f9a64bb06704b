"""Errors that a user can act on."""

from feature_repo.errors import HoldfastError

__all__ = [
    "ApprovalRefusedError",
    "HoldfastError",
    "IngestError",
    "PackagingError",
    "PromotionRefusedError",
    "RollbackError",
    "TrafficError",
]


class IngestError(HoldfastError):
    """Source, mapping or batch that ingest rejects."""


class PackagingError(HoldfastError):
    """Champion that cannot be packaged."""


class PromotionRefusedError(HoldfastError):
    """Promotion of a version that failed its gates or was not approved; the champion is unchanged."""


class ApprovalRefusedError(PromotionRefusedError):
    """Approval that was rejected or not given in time."""


class TrafficError(HoldfastError):
    """Change of the challenger's traffic that failed; the traffic is unchanged."""


class RollbackError(HoldfastError):
    """Rollback without a version to return to; the champion is unchanged."""
