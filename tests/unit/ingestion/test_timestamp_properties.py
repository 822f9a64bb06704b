"""Properties of timestamps: what is written in any notation is read as the same time, quarantined, or refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import TextColumn
from holdfast.ingestion.parsing.format_proposals import propose_formats
from holdfast.ingestion.parsing.timestamps import parse_timestamps
from holdfast.ingestion.reading.source import SourceFile

ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]
day = datetime.fromisoformat
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _offset(time: datetime, colon: str) -> str:
    text = time.strftime("%z")
    return f"{text[:3]}{colon}{text[3:5]}"


def _fraction(time: datetime, mark: str = ".") -> str:
    return f"{mark}{time.microsecond:06}".rstrip("0") if time.microsecond else ""


def _serial(time: datetime, origin: datetime) -> str:
    return repr((time.replace(tzinfo=None) - origin) / timedelta(days=1))


def _epoch(unit: int) -> Callable[[datetime], str]:
    return lambda time: str((time - EPOCH) // timedelta(microseconds=1) * unit // 10**6)


# Format of the mapping, precision of the notation, and the notation of a local time.
NOTATIONS: dict[str, tuple[str | None, timedelta, Callable[[datetime], str]]] = {
    "iso": (None, timedelta(microseconds=1), lambda time: f"{time:%Y-%m-%d %H:%M:%S}{_fraction(time)}"),
    "iso comma": ("iso8601", timedelta(microseconds=1), lambda time: f"{time:%Y-%m-%dT%H:%M:%S}{_fraction(time, ',')}"),
    "iso offset": (None, timedelta(seconds=1), lambda time: f"{time:%Y-%m-%d %H:%M:%S} {_offset(time, '')}"),
    "iso colon": (None, timedelta(minutes=1), lambda time: f"{time:%Y-%m-%dT%H:%M}{_offset(time, ':')}"),
    "java": (None, timedelta(seconds=1), lambda time: f"{time:%Y-%m-%dT%H:%M:%S}{_offset(time, ':')}[{time.tzinfo}]"),
    "utc": (None, timedelta(seconds=1), lambda time: f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
    "basic": (None, timedelta(seconds=1), lambda time: f"{time.astimezone(UTC):%Y%m%dT%H%M%S}Z"),
    "week": (None, timedelta(minutes=1), lambda time: f"{time:%G-W%V-%uT%H:%M}"),
    "ordinal": (None, timedelta(minutes=1), lambda time: f"{time:%Y-%jT%H:%M}"),
    "british": ("%d/%m/%Y %H:%M:%S", timedelta(seconds=1), lambda time: f"{time.day}/{time.month}/{time:%Y %H:%M:%S}"),
    "american": ("%m/%d/%Y, %I:%M:%S %p", timedelta(seconds=1), lambda time: f"{time:%m/%d/%Y, %I:%M:%S\u202f%p}"),
    "german": ("%d.%m.%Y %H:%M", timedelta(minutes=1), lambda time: f"{time:%d.%m.%Y %H:%M}"),
    "mail": ("%a, %d %b %Y %H:%M:%S %z", timedelta(seconds=1), lambda time: f"{time:%a, %d %b %Y %H:%M:%S %z}"),
    "named": ("%B %d, %Y %I:%M %p", timedelta(minutes=1), lambda time: f"{time:%b %-d, %Y %I:%M %p}".lower()),
    "bigquery": (
        "%Y-%m-%d %H:%M:%S %Z",
        timedelta(microseconds=1),
        lambda time: f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}{_fraction(time)} UTC",
    ),
    "digits": ("%Y%m%d%H%M%S", timedelta(seconds=1), lambda time: f"{time:%Y%m%d%H%M%S}"),
    "seconds": ("epoch_seconds", timedelta(seconds=1), _epoch(1)),
    "milliseconds": ("epoch_milliseconds", timedelta(milliseconds=1), _epoch(10**3)),
    "microseconds": ("epoch_microseconds", timedelta(microseconds=1), _epoch(10**6)),
    "nanoseconds": ("epoch_nanoseconds", timedelta(microseconds=1), _epoch(10**9)),
    "excel": ("excel", timedelta(milliseconds=1), lambda time: _serial(time, day("1899-12-30"))),
}  # fmt: skip

times = st.lists(
    st.datetimes(day("1975-01-01"), day("2030-01-01"), timezones=st.sampled_from(ZONES).map(ZoneInfo)),
    min_size=1,
    max_size=6,
).map(lambda found: [time.astimezone(UTC).astimezone(found[0].tzinfo) for time in found])


def _parse(values: list[str], format_: str | None, zone: str, **mapping: bool) -> pd.Series:
    columns = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
    rules = ColumnMapping.model_validate(
        {"columns": columns, "timestamp_format": format_, "time_zone": zone, **mapping}
    )
    file = SourceFile("x.csv", pa.table({"when": values}), np.arange(1, len(values) + 1))
    return parse_timestamps(TextColumn("when", pa.array(values), (file,)), "event_timestamp", rules).values


def _truncate(time: datetime, precision: timedelta) -> datetime:
    return time - (time.replace(tzinfo=None) - day("1970-01-01")) % precision


@given(times, st.sampled_from(sorted(NOTATIONS)))
@settings(max_examples=80, deadline=None)
def test_time_in_any_notation_is_read_exactly(written: list[datetime], name: str) -> None:
    format_, precision, write = NOTATIONS[name]
    expected = [_truncate(time, precision) for time in written]
    assume(all(time.fold == 0 for time in expected))  # the second of two equal local times is read as the first
    zone = str(written[0].tzinfo)
    order = {"british": True, "german": True, "american": False}
    confirmed = {"dayfirst": order[name]} if name in order else {}
    found = _parse([write(time) for time in expected], format_, zone, **confirmed)
    assert [time.to_pydatetime() for time in found] == [time.astimezone(UTC) for time in expected]


@given(times, st.sampled_from(sorted(NOTATIONS)), st.sampled_from(sorted(NOTATIONS)))
@settings(max_examples=80, deadline=None)
def test_time_read_by_a_format_of_another_notation_is_exact_or_refused(
    written: list[datetime], name: str, other: str
) -> None:
    _, precision, write = NOTATIONS[name]
    expected = [_truncate(time, precision) for time in written]
    assume(all(time.fold == 0 for time in expected))
    values = [write(time) for time in expected]
    try:
        found = _parse(values, NOTATIONS[other][0], str(written[0].tzinfo))
    except IngestError:
        return
    for time, right in zip(found, expected, strict=True):
        assert time is pd.NaT or time == pd.Timestamp(right)


@given(
    st.datetimes(day("1990-01-01"), day("2025-01-01")),
    st.integers(12, 60),
    st.sampled_from(["/", ".", "-"]),
    st.sampled_from(["%Y", "%y"]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_swapped_day_and_month_of_consecutive_days_are_never_read(
    start: datetime, count: int, mark: str, year: str, is_day_first: bool, has_time: bool
) -> None:
    order = ["%d", "%m"] if is_day_first else ["%m", "%d"]
    right, swapped = (mark.join([*parts, year]) + " %H:%M" * has_time for parts in (order, order[::-1]))
    written = [start + timedelta(days=number) for number in range(count)]
    values = [time.strftime(right) for time in written]
    assert [time.date() for time in _parse(values, right, "UTC")] == [time.date() for time in written]
    try:
        found = _parse(values, swapped, "UTC")
    except IngestError:
        best = propose_formats(pa.array(values))[0]
        assert (best.timestamp_format, best.share) == (right, 1.0)
    else:
        raise AssertionError(f"{found[0]} is read from {values[0]}")
