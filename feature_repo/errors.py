"""Base classes of the errors that a user can act on."""


class HoldfastError(ValueError):
    """Expected error: the message names problem, place and remedy, and the command line prints it as one line."""


class SettingsError(HoldfastError):
    """Environment variable with an invalid value."""
