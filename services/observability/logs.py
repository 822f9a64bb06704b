"""The service's log."""

import logging

LOG = logging.getLogger("bentoml.holdfast")
_MOST_CAUSES = 1000
_said: set[str] = set()


def log_once(cause: str, message: str) -> None:
    """Warn, unless that was done for the same cause: one that many requests meet is not worth many lines."""
    if cause in _said:
        return
    if len(_said) >= _MOST_CAUSES:
        _said.clear()
    _said.add(cause)
    LOG.warning(message)


def forget_causes() -> None:
    """Say everything again: another service begins."""
    _said.clear()
