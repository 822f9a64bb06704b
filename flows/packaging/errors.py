"""What can go wrong while packaging, in one line for the person at the command."""


class PackagingError(ValueError):
    """The champion cannot be packaged; the message says why and what to do."""
