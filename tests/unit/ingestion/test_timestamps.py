"""Columns of timestamps: order of day and month, several formats, proposals, and times far from the rest."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import ParsedColumn, TextColumn
from holdfast.ingestion.parsing.format_proposals import propose_formats
from holdfast.ingestion.parsing.timestamps import parse_timestamps
from holdfast.ingestion.reading.source import SourceFile

DAY_FIRST, MONTH_FIRST = "%d/%m/%Y", "%m/%d/%Y"


def _dates(format_: str, first: str, count: int, step: int = 1) -> list[str]:
    start = date.fromisoformat(first)
    return [(start + timedelta(days=step * number)).strftime(format_) for number in range(count)]


def _parse(*files: list[str], **mapping: Any) -> ParsedColumn:
    columns = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
    rules = ColumnMapping.model_validate({"columns": columns, **mapping})
    sources = tuple(
        SourceFile(f"{number}.csv", pa.table({"when": rows}), np.arange(1, len(rows) + 1))
        for number, rows in enumerate(files, 1)
    )
    text = pa.array([value for rows in files for value in rows], pa.string())
    return parse_timestamps(TextColumn("when", text, sources), "event_timestamp", rules)


@pytest.mark.parametrize(
    ("format_", "values", "message"),
    [
        (DAY_FIRST, _dates(MONTH_FIRST, "2025-01-01", 20), r'8 of 20 values.*row 13.*"%m/%d/%Y"`, which.*12 others'),
        (MONTH_FIRST, _dates(DAY_FIRST, "2025-01-01", 20), r'"%d/%m/%Y"'),
        (DAY_FIRST, _dates(MONTH_FIRST, "2025-01-01", 12), r"probably swapped.*2025-12-01.*`dayfirst: true`"),
        (MONTH_FIRST, _dates(DAY_FIRST, "2025-03-02", 10), r"probably swapped.*`dayfirst: false`"),
        ("%d.%m.%y %H:%M", _dates("%m.%d.%y 10:00", "2025-06-01", 11), r'"%m\.%d\.%y %H:%M"'),
        (DAY_FIRST, [f"{month:02}/{day:02}/2024" for month in (1, 2, 3) for day in (2, 4, 9, 11)], "probably swapped"),
        (DAY_FIRST, ["13/01/2025", "01/13/2025"], "mix two orders"),
        ("%Y-%m-%d", ["2025-01-13", "2025-14-01"], r'"%Y-%d-%m"|mix two orders'),
        ("%Y%d%m", _dates("%Y%m%d", "2025-01-01", 40), r'"%Y%m%d"'),
    ],
)
def test_swapped_days_and_months_are_refused(format_: str, values: list[str], message: str) -> None:
    with pytest.raises(IngestError, match=message):
        _parse(values, timestamp_format=format_)


@pytest.mark.parametrize(
    ("format_", "written"),
    [("%d/%m/%y", "%y/%m/%d"), ("%y%m%d", "%d%m%y"), ("%d%m%y", "%y%m%d"), ("%y-%m-%d", "%d-%m-%y")],
)
@pytest.mark.parametrize("first", ["1993-11-05", "2024-05-20", "2002-02-01"])
def test_swapped_day_and_short_year_are_refused(format_: str, written: str, first: str) -> None:
    values = _dates(written, first, 30)
    with pytest.raises(IngestError, match=rf"day and (year|month) are swapped|`timestamp_format: \"{written}"):
        _parse(values, timestamp_format=format_)
    assert _parse(values, timestamp_format=written).values.dt.strftime(written).tolist() == values


@pytest.mark.parametrize(
    "values",
    [
        _dates(DAY_FIRST, "2025-01-20", 40),
        _dates(DAY_FIRST, "2025-01-01", 12),  # a delivery of few days
        _dates(DAY_FIRST, "2025-03-02", 1),
        _dates(DAY_FIRST, "2025-03-02", 4, step=31),
        [f"01/{month:02}/{year}" for year in (2022, 2023, 2024) for month in range(1, 13)],  # the first of each month
        [*_dates(DAY_FIRST, "2018-01-01", 2000), "01/13/2025"],  # a slip
    ],
)
def test_right_order_of_day_and_month_is_accepted(values: list[str]) -> None:
    found = _parse(values, timestamp_format=DAY_FIRST).values
    expected = [f"{value[6:]}-{value[3:5]}-{value[:2]}" for value in values]
    assert found.dropna().dt.strftime("%Y-%m-%d").tolist() == expected[: found.count()]
    assert found.count() >= len(values) - 1


def test_confirmed_order_of_day_and_month_is_believed() -> None:
    values = [f"01/{month:02}/2025" for month in range(1, 13)]
    with pytest.raises(IngestError, match="probably swapped"):
        _parse(values, timestamp_format=DAY_FIRST)
    assert _parse(values, timestamp_format=DAY_FIRST, dayfirst=True).values.dt.month.tolist() == list(range(1, 13))
    with pytest.raises(IngestError, match="day and month are swapped"):  # values decide, whatever is confirmed
        _parse(["01/13/2025"], timestamp_format=DAY_FIRST, dayfirst=True)
    with pytest.raises(ValueError, match="dayfirst: false contradicts timestamp_format"):
        _parse(values, timestamp_format=DAY_FIRST, dayfirst=False)


def test_one_swapped_file_of_several_is_refused() -> None:
    first, second = _dates(DAY_FIRST, "2025-01-01", 60), _dates(MONTH_FIRST, "2025-03-02", 30)
    with pytest.raises(IngestError, match=r"'03/13/2025' \(2\.csv, row 12\).*mix two orders"):
        _parse(first, second, timestamp_format=DAY_FIRST)
    with pytest.raises(IngestError, match=r"probably swapped.*2\.csv.*`files` in the mapping"):
        _parse(first, second[:11], timestamp_format=DAY_FIRST)


def test_list_of_both_orders_is_decided_by_the_values_of_each_file() -> None:
    first, second = _dates(DAY_FIRST, "2025-01-01", 60), _dates(MONTH_FIRST, "2025-03-02", 30)
    formats = [DAY_FIRST, MONTH_FIRST]
    found = _parse(first, second, timestamp_format=formats).values
    assert found.dt.strftime("%Y-%m-%d").tolist() == [
        *_dates("%Y-%m-%d", "2025-01-01", 60),
        *_dates("%Y-%m-%d", "2025-03-02", 30),
    ]
    mixed = _parse(first + second, timestamp_format=formats)
    is_ambiguous = np.array([int(value[:2]) <= 12 and int(value[3:5]) <= 12 for value in first + second])
    is_same = np.array([value[:2] == value[3:5] for value in first + second])
    assert mixed.issues[0].reason == "event_timestamp fits several formats with different times"
    assert (mixed.issues[0].rows == (is_ambiguous & ~is_same)).all()
    assert mixed.values.isna().sum() == mixed.issues[0].rows.sum()
    assert _parse(first + second, timestamp_format=formats, dayfirst=True).values.count() == 90


def test_list_of_formats_reads_values_of_each() -> None:
    values = ["05.03.2024", "2024-03-06T10:00Z", "1709802000", "7 March 2024", "soon"]
    found = _parse(values, timestamp_format=["%d.%m.%Y", "iso8601", "epoch_seconds", "%d %B %Y"])
    assert found.values.dt.day.tolist()[:4] == [5, 6, 7, 7]
    assert [issue.rows.tolist() for issue in found.issues] == [[False] * 5, [False] * 4 + [True]]


@pytest.mark.parametrize(
    ("values", "mapping", "message"),
    [
        (["1735787045", "1735873445"], {}, r"starts with '1735787045' \(1\.csv, row 1\).*\"epoch_seconds\"` reads 2"),
        (["1735787045000"], {}, '"epoch_milliseconds"'),
        (["1735787045000"], {"timestamp_format": "%s"}, '"epoch_milliseconds"'),
        (["45659", "45660.5"], {}, '"excel"'),
        (["930101", "981231"], {}, '"%y%m%d"'),
        (["13/01/2025 10:00:30"], {}, '"%d/%m/%Y %H:%M"` reads 1'),
        (["03/04/2025"], {}, r'"%d/%m/%Y"` or `timestamp_format: "%m/%d/%Y"'),
        (["2025-01-02 03:04:05 EST"], {}, r'"%Y-%m-%d %H:%M:%S EST".*set `time_zone` to the zone that EST means'),
        (["13/01/25"], {"timestamp_format": DAY_FIRST}, '"%d/%m/%y"'),
        (["01/02/2025 01:05 PM"], {"timestamp_format": "%d/%m/%Y %H:%M"}, '"%d/%m/%Y %I:%M %p"'),
    ],
)
def test_column_without_a_readable_value_is_refused_with_a_format(
    values: list[str], mapping: dict, message: str
) -> None:
    with pytest.raises(IngestError, match=message):
        _parse(values, **mapping)


def test_unreadable_values_of_another_format_are_noted() -> None:
    found = _parse(["2025-01-02", "2025-01-03", "14.01.2025"])
    assert found.values.isna().tolist() == [False, False, True]
    assert found.notes == (
        "Column 'when': values without the format of the mapping went to quarantine: '14.01.2025' (1.csv, row 3). "
        '`timestamp_format: "%d.%m.%Y"` reads 1 of these 1 values (day first, because 1 values have a day above 12); '
        "a list of formats is possible.",
    )
    assert not _parse(["2025-01-02", "soon"]).notes


def test_times_with_and_without_a_zone_are_noted() -> None:
    values = ["2025-01-02 10:00Z", "2025-01-02 10:00", "2025-01-02"]
    found = _parse(values, time_zone="Europe/Paris")
    assert found.values.dt.hour.tolist() == [10, 9, 23]
    assert found.notes == (
        "Column 'when': 1 time with an offset or zone, 1 time without one, read in `time_zone` Europe/Paris: "
        "'2025-01-02 10:00' (1.csv, row 2).",
    )
    assert not _parse(values[:1]).notes
    assert not _parse(values[1:]).notes


def test_number_column_of_parquet_follows_the_format() -> None:
    rules = {"columns": {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}}
    file = SourceFile("x.parquet", pa.table({"when": ["50131", "981231"]}), np.array([1, 2]))
    column = TextColumn("when", pa.array(["50131", "981231"]), (file,), pa.int64())
    found = parse_timestamps(
        column, "event_timestamp", ColumnMapping.model_validate(rules | {"timestamp_format": "%y%m%d"})
    )
    assert found.values.dt.strftime("%Y-%m-%d").tolist() == ["2005-01-31", "1998-12-31"]
    assert found.notes == ("Column 'when': leading zeros restored in 1 rows for '%y%m%d'.",)


@pytest.mark.parametrize(
    ("values", "format_", "order"),
    [
        (_dates(DAY_FIRST, "2025-01-01", 40), DAY_FIRST, "decided"),
        (_dates("%m-%d-%y 09:30", "2025-01-01", 40), "%m-%d-%y %H:%M", "decided"),
        (_dates(DAY_FIRST, "2025-01-01", 12), DAY_FIRST, "likely"),
        (_dates("%m.%d.%Y", "2025-01-01", 12), "%m.%d.%Y", "likely"),
        (_dates("%Y-%m-%d", "2025-01-01", 12), "iso8601", None),
        (["Jan 2, 2025 3:04 PM"], "%b %d, %Y %I:%M %p", None),
        (["Tue Mar 05 06:07:08 +0000 2024"], "%a %b %d %H:%M:%S %z %Y", None),
        (["02-Jan-25"], "%d-%b-%y", None),
        (["20250102030405"], "%Y%m%d%H%M%S", "likely"),
        (["45659.5"], "excel", None),
        (["1735787045123456"], "epoch_microseconds", None),
    ],
)
def test_propose_formats_puts_the_right_format_first(values: list[str], format_: str, order: str | None) -> None:
    best = propose_formats(pa.array(values))[0]
    assert (best.timestamp_format, best.order, best.share) == (format_, order, 1.0)


def test_propose_formats_reports_an_ambiguous_order() -> None:
    found = propose_formats(pa.array(["01/02/2025", "03/02/2025", None]))
    assert [(one.timestamp_format, one.order, one.share) for one in found] == [
        (DAY_FIRST, "ambiguous", 1.0),
        (MONTH_FIRST, "ambiguous", 1.0),
    ]
    assert propose_formats(pa.array(["x", None])) == []
    assert propose_formats(pa.array([None], pa.string())) == []


FLOW = _dates("%Y-%m-%d", "2025-01-01", 120)


@pytest.mark.parametrize(
    ("values", "isolated"),
    [
        ([*FLOW, "2009-05-05"], ["2009-05-05"]),
        ([*FLOW[:30], *["1970-01-01"] * 10], ["1970-01-01"]),
        ([*FLOW[:4], "1980-01-01"], ["1980-01-01"]),  # few rows, and a known placeholder
        ([*_dates("%Y-%m-%d", "2010-01-01", 120), "2024-01-01", "1999-12-31"], ["1999-12-31", "2024-01-01"]),
        ([*FLOW, "2023-06-01"], []),  # an early order
        (["2021-01-10", "2021-07-01", "2022-02-01", *FLOW], []),
        (["2012-01-10", "2019-07-01", "2025-02-01"], []),  # too few to know the flow
        (["1999-12-31", "2005-01-20", "2005-02-13", "2010-10-10"], []),  # a placeholder's date, in sparse rows
        ([*FLOW[:4], "1970-01-01", "2099-12-31"], ["1970-01-01", "2099-12-31"]),  # two placeholders, far apart
        ([*_dates("%Y-%m-%d", "1999-12-25", 60)], []),  # a placeholder's date within the flow
        ([*FLOW[:60], *_dates("%Y-%m-%d", "2020-01-01", 60)], []),  # two periods
        ([*_dates("%Y-%m-%d", "2015-01-01", 40, step=90), "2010-01-01"], []),
    ],
)
def test_times_far_from_the_rest_are_set_aside(checked: Callable, values: list[str], isolated: list[str]) -> None:
    result = checked("id,when,amount\n" + "".join(f"1,{value},5\n" for value in values))
    assert sorted({raw.split('"when": "')[1][:10] for raw in result.quarantine["raw"]}) == isolated
    assert [note for note in result.notes if "years from all others" in note] == list(result.notes[: len(isolated) > 0])


@pytest.mark.parametrize("format_", ["%d/%m/%y", "%y/%m/%d"])
@pytest.mark.parametrize("step", [9, -9])
def test_swapped_day_and_short_year_of_few_rows_are_refused(format_: str, step: int) -> None:
    other = "%y/%m/%d" if format_ == "%d/%m/%y" else "%d/%m/%y"
    values = _dates(other, "2025-03-02", 6, step)
    with pytest.raises(IngestError, match=f'"{other}"'):
        _parse(values, timestamp_format=format_)
    assert _parse(values, timestamp_format=other).values.dt.year.tolist() == [2025] * 6


@pytest.mark.parametrize("format_", ["%d/%m/%y", "%y/%m/%d"])
def test_yearly_rows_on_one_day_are_read(format_: str) -> None:
    values = [date(year, 1, 5).strftime(format_) for year in range(2018, 2026)]
    assert _parse(values, timestamp_format=format_).values.dt.year.tolist() == list(range(2018, 2026))


@pytest.mark.parametrize(
    ("value", "format_", "expected"),
    [
        ('="2025-01-02"', "iso8601", "2025-01-02"),
        ("'02/01/2025", DAY_FIRST, "2025-01-02"),
        ("2025-01-02T10:00:00\u221205:00", "iso8601", "2025-01-02 15:00"),
        ("45659,5", "excel", "2025-01-02 12:00"),
        ("1735787045,25", "epoch_seconds", "2025-01-02 03:04:05.25"),
    ],
)
def test_time_in_the_dress_of_a_spreadsheet_is_read(value: str, format_: str, expected: str) -> None:
    assert _parse([value], timestamp_format=format_).values.iloc[0] == pd.Timestamp(expected, tz="UTC")


def test_unreadable_time_is_no_time_without_a_zone() -> None:
    found = _parse(["2025-01-02 10:00Z", "2025-01-32 10:00", "2025-01-02 10:00 GMT+2"])
    assert not [note for note in found.notes if "time_zone" in note]
