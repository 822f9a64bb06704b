"""What can go wrong while packaging, in one line for the person at the command."""

from holdfast.core.errors import HoldfastError


class PackagingError(HoldfastError):
    """The champion cannot be packaged; the message says why and what to do."""
