"""Formats of times, versions, cut-offs and counts, shared by reports, tables and pages."""

from collections.abc import Sequence
from datetime import datetime


def format_minute(time: datetime | None) -> str:
    """Format a time to the minute.

    Args:
        time: Time in UTC, or None.

    Returns:
        Text such as "2024-03-01 12:00 UTC"; "never" for None.
    """
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "never"


def format_version(version: str | None) -> str:
    """Format a model version as part of a sentence.

    Args:
        version: Number of the version, None without one.

    Returns:
        "version 3", or "no version".
    """
    return "no version" if version is None else f"version {version}"


def format_cutoffs(cutoffs: Sequence[datetime]) -> str:
    """Format cut-offs as first day, last day and count.

    Args:
        cutoffs: Cut-offs in ascending order.

    Returns:
        Text such as "2024-01-01 to 2024-03-01 (3)"; "none" without cut-offs.
    """
    if not cutoffs:
        return "none"
    return f"{cutoffs[0]:%Y-%m-%d} to {cutoffs[-1]:%Y-%m-%d} ({len(cutoffs)})"


def format_count(count: int, noun: str) -> str:
    """Format a count with its noun.

    Args:
        count: Number of things.
        noun: Noun in the singular, whose plural ends in s or, after ch, sh, s or x, in es.

    Returns:
        Text such as ``1 row``, ``3,210 rows`` or ``0 mismatches``.
    """
    plural = f"{noun}{'es' if noun.endswith(('ch', 'sh', 's', 'x')) else 's'}"
    return f"{count:,} {noun if count == 1 else plural}"
