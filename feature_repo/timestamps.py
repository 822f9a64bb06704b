"""Moments in UTC, and as the integers that features are made of."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_utc(time: datetime) -> datetime:
    """The same moment in UTC, as a plain datetime; a time without a zone is taken as UTC.

    Prefect's times are of a subclass whose arithmetic differs.
    """
    utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, UTC)


def epoch_us(time: datetime) -> int:
    """Microseconds since 1970, exact; a time without a zone is taken as UTC."""
    return (as_utc(time) - _EPOCH) // timedelta(microseconds=1)


def from_epoch_us(microseconds: int) -> datetime:
    """The time that is so many microseconds after 1970, UTC; the inverse of :func:`epoch_us`."""
    return _EPOCH + timedelta(microseconds=microseconds)
