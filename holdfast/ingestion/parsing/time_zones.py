"""Time zones of values: offsets and zone names behind a time, and local clock times to UTC."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd

_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)
_LARGEST_OFFSET = timedelta(hours=14)


def find_zone(text: str) -> timedelta | str | None:
    """Read the zone behind a time.

    Args:
        text: Text such as ``Z``, ``UTC``, ``+0200``, ``GMT+2``, ``Europe/Paris`` or ``[Europe/Paris]``.

    Returns:
        Offset from UTC, or IANA name; None for an abbreviation such as ``EST``, which names several zones, and for
        other text.
    """
    text = text.strip("[]")
    if text.upper() in ("Z", "UTC", "GMT"):
        return timedelta(0)
    if found := _OFFSET.fullmatch(text):
        sign, hours, minutes = found[1], int(found[2]), int(found[3] or 0)
        offset = timedelta(hours=hours, minutes=minutes)
        return (offset if sign == "+" else -offset) if minutes < 60 and offset <= _LARGEST_OFFSET else None
    return text if "/" in text and text in available_timezones() else None


def convert_to_utc(local: np.ndarray, zone: str) -> np.ndarray:
    """Convert local clock times to UTC.

    A time that occurs twice (autumn) is read as the first of the two. A time that does not occur (spring, or a day that
    a zone left out) is read as the time of the change.

    Args:
        local: Local times (datetime64[us]), NaT allowed, shape (rows,).
        zone: IANA name.

    Returns:
        Times in UTC (datetime64[us]), shape (rows,).
    """
    if zone == "UTC":
        return local
    first = np.ones(len(local), dtype=bool)
    index = pd.DatetimeIndex(local).tz_localize(zone, ambiguous=first, nonexistent="NaT")
    utc = index.tz_convert(None).to_numpy().copy()
    skipped = np.isnat(utc) & ~np.isnat(local)
    while skipped.any():  # one pass per skipped hour or day
        start, end, change = _find_gap(local[skipped].min().item(), ZoneInfo(zone))
        in_gap = skipped & (local >= np.datetime64(start)) & (local < np.datetime64(end))
        utc[in_gap] = np.datetime64(change)
        skipped &= ~in_gap
    return utc


def _find_gap(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime, datetime]:
    """Find the skipped local times around one of them: their first, their end, and the time of the change (UTC)."""
    before = local.replace(tzinfo=zone, fold=0).utcoffset() or timedelta(0)
    after = local.replace(tzinfo=zone, fold=1).utcoffset() or timedelta(0)
    low, high = (local - after).replace(tzinfo=UTC, microsecond=0), (local - before).replace(tzinfo=UTC, microsecond=0)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    change = high.replace(tzinfo=None)
    return change + before, change + after, change
