"""Log of the service."""

import logging

LOG = logging.getLogger("bentoml.holdfast")
_MAX_CAUSES = 1000
_logged_causes: set[str] = set()


def log_once(cause: str, message: str) -> None:
    """Log a warning, unless one with the same cause was logged: many requests may have the same cause.

    Args:
        cause: Key of the cause; 1000 are remembered.
        message: Text of the warning.
    """
    if cause in _logged_causes:
        return
    if len(_logged_causes) >= _MAX_CAUSES:
        _logged_causes.clear()
    _logged_causes.add(cause)
    LOG.warning(message)


def reset_log_once() -> None:
    """Forget which causes were logged; called when another service starts in this process."""
    _logged_causes.clear()
