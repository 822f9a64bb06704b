"""The root of every error that a person can act on."""


class HoldfastError(ValueError):
    """Says what is wrong, where, and what to do. The command line prints it as one line, without a traceback."""
