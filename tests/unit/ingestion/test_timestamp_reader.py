"""Reading of timestamps by one format: each value is read exactly, or not at all."""

import numpy as np
import pyarrow as pa
import pytest

from holdfast.ingestion.parsing.timestamp_formats import check_format
from holdfast.ingestion.parsing.timestamp_reader import clean_text, read_timestamps, restore_zeros


def _read(value: str, format_: str = "iso8601", zone: str = "UTC") -> str | None:
    time = read_timestamps(clean_text(pa.array([value, None])), check_format(format_), zone).utc[0]
    return None if np.isnat(time) else time.item().isoformat()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-03-05 06:07:08 UTC", "2024-03-05T06:07:08"),
        ("2024-03-05 06:07:08.9 UTC", "2024-03-05T06:07:08.900000"),
        ("2024-03-05 06:07:08 GMT", "2024-03-05T06:07:08"),
        ("2024-03-05t06:07:08z", "2024-03-05T06:07:08"),
        ("2024-03-05T06:07:08+02", "2024-03-05T04:07:08"),
        ("2024-03-05T06:07:08-0330", "2024-03-05T09:37:08"),
        ("2024-03-05 06:07:08 +05:30", "2024-03-05T00:37:08"),
        ("2024-03-05T06:07:08+01:00[Europe/Paris]", "2024-03-05T05:07:08"),
        ("2024-07-05 06:07:08 America/New_York", "2024-07-05T10:07:08"),
        ("2024-07-05T06:07[Asia/Kolkata]", "2024-07-05T00:37:00"),
        ("20240305T060708Z", "2024-03-05T06:07:08"),
        ("2024-03-05 06:07:08,25", "2024-03-05T06:07:08.250000"),
        ("2024-03-05T06:07:08.987654321Z", "2024-03-05T06:07:08.987654"),
        ("2024-3-5 6:07", "2024-03-05T06:07:00"),
        ("2024/03/05", "2024-03-05T00:00:00"),
        ("20240305.0", "2024-03-05T00:00:00"),
        ("2024-W10-2", "2024-03-05T00:00:00"),
        ("2020W537", "2021-01-03T00:00:00"),
        ("2024-060T12:00Z", "2024-02-29T12:00:00"),
        ("2021-W53-1", None),
        ("2023-366", None),
        ("2024-W10", None),
        ("2024065", None),
        ("2024-03-05 06:07:08 EST", None),
        ("2024-03-05 06:07:08 Mars/Base", None),
        ("2024-03-05T06:07:08+25:00", None),
        ("2024-03-05T06:07:08+02:99", None),
        ("2024-03-05 24:00", None),
        ("2024-03-05 06:61", None),
        ("0000-00-00 00:00:00", None),
        ("9999-12-31", None),
        ("2024-13-01", None),
        ("١٢٣٤-٠١-٠١", None),
    ],
)
def test_read_iso_8601_and_its_relatives(value: str, expected: str | None) -> None:
    assert _read(value) == expected


@pytest.mark.parametrize(
    ("format_", "value", "expected"),
    [
        ("%d/%m/%Y %H:%M:%S", "5/3/2024 06:07:08", "2024-03-05T06:07:08"),
        ("%d/%m/%Y %H:%M:%S", "05/03/2024 06:07:08.25", "2024-03-05T06:07:08.250000"),
        ("%d/%m/%Y %H:%M:%S.%f", "05/03/2024 06:07:08", "2024-03-05T06:07:08"),
        ("%d/%m/%Y %H:%M:%S", "05/03/2024 06:07", "2024-03-05T06:07:00"),
        ("%d/%m/%Y %H:%M", "05/03/2024 06:07:08", "2024-03-05T06:07:08"),
        ("%d/%m/%Y %H:%M", "05/03/2024 06:07 +0100", "2024-03-05T05:07:00"),
        ("%d/%m/%Y %H:%M", "05/03/2024", None),
        ("%d/%m/%Y", "05/03/2024 06:07", None),
        ("%d/%m/%Y", "05/03/24", None),
        ("%d/%m/%y", "05/03/2024", None),
        ("%d/%m/%Y %H:%M", "05/03/2024 06:07 PM", None),
        ("%m/%d/%Y, %I:%M:%S %p", "3/5/2024, 12:07:08\u202fAM", "2024-03-05T00:07:08"),
        ("%m/%d/%Y %I:%M %p", "3/5/2024  1:07 p.m.", "2024-03-05T13:07:00"),
        ("%m/%d/%Y %I:%M %p", "3/5/2024 13:07 PM", None),
        ("%d %b %Y", "5 Sept 2024", "2024-09-05T00:00:00"),
        ("%d %B %Y", "5 sep 2024", "2024-09-05T00:00:00"),
        ("%d %b %Y", "5 März 2024", None),
        ("%a, %d %b %Y %H:%M:%S %z", "Tue, 05 Mar 2024 06:07:08 GMT", "2024-03-05T06:07:08"),
        ("%a, %d %b %Y", "Wed, 05 Mar 2024", None),  # 5 March 2024 was a Tuesday
        ("%a %b %d %Y %H:%M:%S %z", "Tue Mar 05 2024 06:07:08 GMT+0100 (CET)", "2024-03-05T05:07:08"),
        ("%Y-%m-%dT%H:%M:%SZ", "2024-03-05T06:07:08Z", "2024-03-05T06:07:08"),
        ("%Y-%m-%d %H:%M:%S %z", "2024-03-05 06:07:08", None),
        ("%F %T", "2024-03-05 06:07:08", "2024-03-05T06:07:08"),
        ("%-d.%-m.%Y", "5.3.2024", "2024-03-05T00:00:00"),
        ("%G-W%V-%u", "2024-W10-2", "2024-03-05T00:00:00"),
        ("%y%m%d", "90102", None),  # strptime reads 2 October 1990
        ("%Y%m%d", "2024105", None),
        ("%Y%m%d%H%M%S", "20240305060708", "2024-03-05T06:07:08"),
        ("%s", "1709618828", "2024-03-05T06:07:08"),
        ("epoch_seconds", "1709618828.25", "2024-03-05T06:07:08.250000"),
        ("epoch_seconds", "1.709618828E9", "2024-03-05T06:07:08"),
        ("epoch_seconds", "1.70962E+09", None),  # a spreadsheet cut the last digits
        ("epoch_seconds", "1709618828000", None),
        ("epoch_seconds", "0", None),
        ("epoch_milliseconds", "1709618828123", "2024-03-05T06:07:08.123000"),
        ("epoch_milliseconds", "1709618828", None),
        ("epoch_microseconds", "1709618828123456", "2024-03-05T06:07:08.123456"),
        ("epoch_nanoseconds", "1709618828123456789", "2024-03-05T06:07:08.123456"),
        ("epoch_nanoseconds", "99999999999999999999", None),
        ("excel", "45356", "2024-03-05T00:00:00"),
        ("excel", "45356.254953703706", "2024-03-05T06:07:08"),
        ("excel_1904", "43894.5", "2024-03-05T12:00:00"),
        ("excel", "0", None),
        ("excel", "1709618828", None),
    ],
)
def test_read_format(format_: str, value: str, expected: str | None) -> None:
    assert _read(value, format_) == expected


@pytest.mark.parametrize(
    ("zone", "value", "expected"),
    [
        ("Pacific/Apia", "2011-12-30 00:00", "2011-12-30T10:00:00"),  # the zone left out the whole day
        ("Pacific/Apia", "2011-12-30 23:59:59.5", "2011-12-30T10:00:00"),
        ("Pacific/Apia", "2011-12-29 23:59", "2011-12-30T09:59:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00"),
        ("Pacific/Kwajalein", "1993-08-21 12:00", "1993-08-21T12:00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00"),  # the day began at one o'clock
        ("Australia/Lord_Howe", "2024-10-06 02:15", "2024-10-05T15:30:00"),  # half an hour left out
        ("Europe/Paris", "2024-03-31 02:30", "2024-03-31T01:00:00"),
        ("Europe/Paris", "2024-10-27 02:30", "2024-10-27T00:30:00"),
        ("Europe/Moscow", "2014-10-26 01:30", "2014-10-25T21:30:00"),  # twice without daylight saving time
        ("America/New_York", "2024-11-03 01:30", "2024-11-03T05:30:00"),
    ],
)
def test_read_local_time_that_occurs_never_or_twice(zone: str, value: str, expected: str) -> None:
    assert _read(value, zone=zone) == expected


@pytest.mark.parametrize(
    ("format_", "values", "expected"),
    [
        ("%y%m%d", ["50131", "102", "981231"], ["050131", "000102", "981231"]),
        ("%d%m%Y", ["1022024", "13022024"], ["01022024", "13022024"]),
        ("%y%m%d", ["50131", "050131"], None),  # zeros were not lost
        ("%y%m%d", ["2512", "251212"], None),  # year, month and day of any width
        ("%y%m%d", ["50131", "59999"], None),
        ("%d/%m/%Y", ["1/2/2024"], None),
    ],
)
def test_restore_zeros_lost_in_numbers(format_: str, values: list[str], expected: list[str] | None) -> None:
    restored, rows = restore_zeros(pa.array(values), format_, np.arange(len(values)))
    assert restored.to_pylist() == (expected or values)
    assert rows == (
        0 if expected is None else sum(before != after for before, after in zip(values, expected, strict=True))
    )


@pytest.mark.parametrize(
    ("format_", "message"),
    [
        ("dd/MM/yyyy", "no directive.*Names: iso8601, epoch_seconds"),
        ("%d/%m", "no year"),
        ("%d/%m/%Y %H:%M %p", "goes with %I"),
        ("%d/%m/%Y %I:%M", "%I without %p"),
        ("%d/%m/%Y %d", "twice"),
        ("%d/%m/%Y %Q", "'Q' is a bad directive"),
        ("epoch", "no directive"),
    ],
)
def test_check_format_of_invalid_format_raises(format_: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_format(format_)
