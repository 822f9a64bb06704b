"""What a person can act on when a champion does not move."""

from holdfast.core.errors import HoldfastError


class PromotionRefusedError(HoldfastError):
    """The version did not pass its gates or was not approved; the champion stays."""


class ApprovalRefusedError(PromotionRefusedError):
    """A person said no, or nothing in time."""


class TrafficError(HoldfastError):
    """The challenger gets no other traffic than before."""


class RollbackError(HoldfastError):
    """There is nothing to roll back to; the champion stays."""
