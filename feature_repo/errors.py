"""Base classes of the errors that a user can act on."""


class HoldfastError(ValueError):
    """Expected error: its message names the problem, its location and the remedy, and is printed as one line."""


class SettingsError(HoldfastError):
    """Environment variable with an invalid value."""
