"""Fields of timestamps (year, month, hour), extracted by a regular expression, and the local times that they give."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}


class TimestampFields:
    """Fields of values that match the regular expression of a format.

    Attributes:
        size: Number of rows.
    """

    def __init__(self, fields: Any) -> None:
        self._columns = dict(zip([field.name for field in fields.type], fields.flatten(), strict=True))
        self.size = len(fields)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def number(self, name: str, default: int = 0) -> Any:
        """Return a numeric field.

        Args:
            name: Name of the group.
            default: Value where the field is left out.

        Returns:
            int64, shape (rows,); the default alone if the format does not have the field.
        """
        if name not in self:
            return default
        column = self._columns[name]
        column = pc.if_else(pc.equal(column, ""), str(default), column)
        return pc.cast(column, pa.int64()).to_numpy(zero_copy_only=False)

    def codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """Encode a field by its distinct values.

        Args:
            name: Name of the group.

        Returns:
            Position of each row's value, and the distinct values.
        """
        encoded = pc.dictionary_encode(self._columns[name])
        return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()

    def named(self, name: str, numbers: dict[str, int]) -> np.ndarray:
        """Convert names to numbers by their first letters.

        Args:
            name: Name of the group.
            numbers: Number of each name, cut to at most three letters.

        Returns:
            Numbers, shape (rows,).
        """
        codes, names = self.codes(name)
        return np.array([numbers[text[:3].lower()] for text in names])[codes]

    @property
    def fraction(self) -> Any:
        """Return the fractions of seconds in microseconds, 0 if the format does not have them."""
        if "fraction" not in self:
            return 0
        digits = pc.utf8_slice_codeunits(self._columns["fraction"], 0, 6)
        return pc.cast(pc.utf8_rpad(digits, 6, "0"), pa.int64()).to_numpy(zero_copy_only=False)


def build_local_times(fields: TimestampFields) -> tuple[np.ndarray, np.ndarray]:
    """Build local times from their fields.

    Args:
        fields: Fields of the values.

    Returns:
        Local times (datetime64[us]) and their dates (datetime64[D]), NaT where a field is out of range.
    """
    days, is_valid = _build_days(fields)
    hour, minute, second = fields.number("hour"), fields.number("minute"), fields.number("second")
    if "hour12" in fields:
        hour = fields.number("hour12")
        is_valid &= hour <= 12
        is_afternoon = fields.named("meridiem", {"a": 0, "p": 1}) if "meridiem" in fields else 0
        hour = hour % 12 + 12 * is_afternoon
    is_valid = is_valid & (hour < 24) & (minute < 60) & (second < 60)
    local = days.astype("datetime64[us]") + ((hour * 3600 + minute * 60 + second) * 10**6 + fields.fraction)
    if not is_valid.all():
        local[~is_valid] = np.datetime64("NaT")
        days[~is_valid] = np.datetime64("NaT")
    return local, days


def _build_days(fields: TimestampFields) -> tuple[np.ndarray, np.ndarray]:
    """Return the dates (datetime64[D]), and True where a date exists."""
    if "iso_year" in fields:
        week = fields.number("iso_week")
        fourth = (fields.number("iso_year") - 1970).astype("datetime64[Y]").astype("datetime64[D]") + 3
        monday = fourth - _weekday(fourth)  # week 1 has the year's first Thursday, hence 4 January
        days = monday + (week - 1) * 7 + fields.number("iso_weekday", 1) - 1
        return days, (week >= 1) & (_year(days - _weekday(days) + 3) == fields.number("iso_year"))
    if "year" in fields:
        year = fields.number("year")
    else:
        year = fields.number("short_year")
        year = year + np.where(year < 69, 2000, 1900)
    if "ordinal" in fields:
        days = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]") + fields.number("ordinal") - 1
        return days, _year(days) == year
    month = fields.named("month_name", _MONTHS) if "month_name" in fields else fields.number("month", 1)
    day = fields.number("day", 1)
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = first.astype("datetime64[D]") + (day - 1)
    is_valid = (month >= 1) & (month <= 12) & (day >= 1) & (days.astype("datetime64[M]") == first)
    if "weekday" in fields:
        is_valid &= _weekday(days) == fields.named("weekday", _WEEKDAYS)
    return days, is_valid


def _weekday(days: np.ndarray) -> np.ndarray:
    return (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def _year(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[Y]").astype(np.int64) + 1970
