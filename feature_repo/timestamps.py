"""Times in UTC, and as integers of microseconds since 1970."""

from datetime import UTC, datetime, timedelta

DAY_US = 86_400_000_000
NO_TIME = -(2**63)  # event time of a customer that a feature view does not contain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_utc(time: datetime) -> datetime:
    """Convert a time to UTC, as a plain datetime: Prefect's times are of a subclass with other arithmetic.

    Args:
        time: Any time; without a time zone it is taken as UTC.

    Returns:
        The same time in UTC.
    """
    utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, UTC)


def epoch_us(time: datetime) -> int:
    """Convert a time to microseconds since 1970, exactly.

    Args:
        time: Any time; without a time zone it is taken as UTC.

    Returns:
        Microseconds since 1970-01-01 UTC.
    """
    return (as_utc(time) - _EPOCH) // timedelta(microseconds=1)


def from_epoch_us(microseconds: int) -> datetime:
    """Convert microseconds since 1970 to a time; the inverse of :func:`epoch_us`.

    Args:
        microseconds: Microseconds since 1970-01-01 UTC.

    Returns:
        The time in UTC.
    """
    return _EPOCH + timedelta(microseconds=microseconds)
