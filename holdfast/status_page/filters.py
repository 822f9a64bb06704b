"""Jinja filters of the status page."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from holdfast.status_page.sections import strip_credentials


def format_age(moment: datetime | None, now: datetime) -> str:
    """How long ago, or in how long."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    return f"{format_duration(seconds)} ago" if seconds >= 0 else f"in {format_duration(-seconds)}"


def format_duration(seconds: float | None) -> str:
    """A duration in its largest unit."""
    if seconds is None:
        return ""
    for name, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if seconds >= length.total_seconds():
            return f"{seconds / length.total_seconds():.1f} {name}".replace(".0 ", " ")
    return f"{seconds:.0f} s"


def safe_link(target: str) -> str:
    """The target if a browser may follow it: http or https and nothing else; otherwise nothing."""
    shown = strip_credentials(target)
    return shown if urlsplit(shown).scheme in ("http", "https") else ""


def format_number(value: float | None) -> str:
    """A number with three figures behind the point; a large one without."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
