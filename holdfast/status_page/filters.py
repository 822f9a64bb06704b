"""Functions of the status page's templates."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from holdfast.core.redaction import redact_logins

_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def format_age(time: datetime | None, now: datetime) -> str:
    """Format a time relative to now.

    Args:
        time: Past or future time.
        now: Time of the page.

    Returns:
        Such as "2 h ago" or "in 5 min"; "never" for None.
    """
    if time is None:
        return "never"
    seconds = (now - time).total_seconds()
    return f"{format_duration(seconds)} ago" if seconds >= 0 else f"in {format_duration(-seconds)}"


def format_duration(seconds: float | None) -> str:
    """Format a duration in its largest unit.

    Args:
        seconds: Not negative.

    Returns:
        Such as "1.5 min"; empty for None.
    """
    if seconds is None:
        return ""
    for name, unit in _UNITS:
        if seconds >= unit.total_seconds():
            return f"{seconds / unit.total_seconds():.1f} {name}".replace(".0 ", " ")
    return f"{seconds:.0f} s"


def safe_link(target: str) -> str:
    """Return a link target that a browser may follow.

    Args:
        target: URL or path.

    Returns:
        The URL without credentials; empty unless its scheme is http or https.
    """
    url = redact_logins(target)
    return url if urlsplit(url).scheme in ("http", "https") else ""


def format_number(value: float | None) -> str:
    """Format a number with three decimals, from 1000 without.

    Args:
        value: Any finite number.

    Returns:
        The number; a dash for None.
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
