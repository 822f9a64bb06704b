"""Workbooks: dates are dates, whole numbers have no .0, text stays text."""

import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.validation import ValidationResult, validate_source
from tests.support.workbooks import write_ods, write_xlsx

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}
HEADER = ["id", "when", "amount"]
LOCAL = datetime(2025, 7, 1, 8, 26, tzinfo=UTC).replace(tzinfo=None)
ROWS = [HEADER, [13085, LOCAL, 5], ["00042", LOCAL + timedelta(seconds=1), 12.5]]


def _read(tmp_path: Path, content: bytes, name: str = "export.xlsx", **keys: Any) -> ValidationResult:
    path = tmp_path / name
    path.write_bytes(content)
    rules = ColumnMapping.model_validate({"columns": COLUMNS, "max_bad_share": 1, **keys})
    return validate_source(read_source(path, rules), rules, NOW)


@pytest.mark.parametrize("name", ["export.xlsx", "export.csv", "export"])
def test_workbook_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    result = _read(tmp_path, write_xlsx({"Sales": ROWS}), name, time_zone="Europe/London")
    assert result.rows["customer_id"].tolist() == ["13085", "00042"]
    assert result.rows["amount"].tolist() == [5, 12.5]
    assert result.rows["event_timestamp"].tolist() == [
        pd.Timestamp("2025-07-01 07:26", tz="UTC"),
        pd.Timestamp("2025-07-01 07:26:01", tz="UTC"),
    ]
    assert result.quarantine.empty


@pytest.mark.parametrize(
    ("times", "keys", "expected"),
    [
        ([date(2025, 1, 2), date(2025, 3, 4)], {"timestamp_format": "%d/%m/%Y"}, "2025-03-04 00:00:00"),
        ([LOCAL, date(2025, 3, 4)], {}, "2025-03-04 00:00:00"),
        ([LOCAL, LOCAL + timedelta(milliseconds=250)], {}, "2025-07-01 08:26:00.250000"),
        (["13/02/2025", "04/03/2025"], {"timestamp_format": "%d/%m/%Y"}, "2025-03-04 00:00:00"),
        ([20250102, 20250304], {"timestamp_format": "%Y%m%d"}, "2025-03-04 00:00:00"),
    ],
)
def test_workbook_times_are_real_dates_or_follow_the_mapping(
    tmp_path: Path, times: list, keys: dict, expected: str
) -> None:
    content = write_xlsx({"S": [HEADER, [1, times[0], 5], [2, times[1], 5]]})
    assert str(_read(tmp_path, content, **keys).rows["event_timestamp"].iloc[-1])[:-6] == expected


def test_workbook_numbers_and_numbers_as_text_have_one_notation(tmp_path: Path) -> None:
    rows = [HEADER, [1, LOCAL, 12.5], [2, LOCAL, "1.234,50"], [3, LOCAL, 7], [4, LOCAL, "0,25"]]
    amounts = _read(tmp_path, write_xlsx({"S": rows}), decimal=",").rows["amount"]
    assert amounts.tolist() == [12.5, 1234.5, 7, 0.25]
    plain = write_xlsx({"S": [HEADER, [1, LOCAL, 12.5], [2, LOCAL, 1234.125]]})
    assert _read(tmp_path, plain, decimal=",").rows["amount"].tolist() == [12.5, 1234.125]


def test_workbook_cell_of_an_error_or_nothing_is_missing_and_blank_rows_are_skipped(tmp_path: Path) -> None:
    rows = [[], HEADER, [1, LOCAL, 5], [], ["#N/A", LOCAL, 5], [3, LOCAL, None], [4, LOCAL, 6], [], []]
    result = _read(tmp_path, write_xlsx({"S": rows}))
    assert result.rows["customer_id"].tolist() == ["1", "4"]
    assert result.quarantine["row_number"].tolist() == [2, 3]
    assert result.reasons == {"customer_id is missing": 1, "amount is missing": 1}


def test_workbook_totals_and_repeated_header_are_set_aside(tmp_path: Path) -> None:
    rows = [*ROWS, HEADER, [7, LOCAL, 1], ["Total", LOCAL, 18.5]]
    result = _read(tmp_path, write_xlsx({"S": rows}))
    assert result.rows["customer_id"].tolist() == ["13085", "00042", "7"]
    assert result.reasons == {"a repeated header": 1, "a totals row": 1}


def test_workbook_with_one_fitting_sheet_names_the_others(tmp_path: Path) -> None:
    sheets = {"Read me": [["Sales of 2025"]], "Empty": [], "Sales": ROWS}
    assert _read(tmp_path, write_xlsx(sheets)).notes == (
        "export.xlsx: sheet 'Sales' was read; left out, without the mapped columns: Read me.",
    )


def test_workbook_with_several_fitting_sheets_needs_a_choice(tmp_path: Path) -> None:
    content = write_xlsx({"2024": ROWS, "2025": [HEADER, [7, LOCAL, 1]]})
    with pytest.raises(IngestError, match=r"Several sheets of export\.xlsx have .*'2024', '2025'\. Set `sheet:`"):
        _read(tmp_path, content)
    assert _read(tmp_path, content, sheet=2025).rows["customer_id"].tolist() == ["7"]
    both = _read(tmp_path, content, sheet=["2024", "2025"])
    assert both.rows["customer_id"].tolist() == ["13085", "00042", "7"]
    with pytest.raises(IngestError, match=r"has no sheet '2023'.*Sheets: '2024', '2025'"):
        _read(tmp_path, content, sheet="2023")
    with pytest.raises(IngestError, match=r"sheet 'B' has other columns than sheet 'A'"):
        _read(tmp_path, write_xlsx({"A": ROWS, "B": [[*HEADER, "x"], [1, LOCAL, 5, 6]]}), sheet=["A", "B"])


@pytest.mark.parametrize(
    ("rows", "keys", "message"),
    [
        ([["Sales"], [], *ROWS], {}, r"Line 3 has every mapped column.*`skip_rows: 2`"),
        ([["Id", "when", "amount"], *ROWS[1:]], {}, r"Did you mean 'Id'\?"),
        (ROWS[1:], {}, r"seems to be a row: the file has no header"),
        ([HEADER, [1234567890123456, LOCAL, 5]], {}, r"more than 15 digits.*lost their last digits"),
        ([HEADER, [1, LOCAL, 5.5], [2, LOCAL, LOCAL]], {}, r"'amount', mapped to amount, has dates.*such as 1\.5"),
        ([HEADER, [1, LOCAL, 5.5], [LOCAL, LOCAL, 5]], {}, r"'id', mapped to customer_id, has dates"),
        ([HEADER, [1, LOCAL, 5.5], [2, "13/02/2025", 5]], {}, r"as text, '13/02/2025'.*day and month swapped"),
        ([[]], {}, r"is empty: no sheet has a value"),
        (ROWS, {"skip_rows": 9}, r"has no row below `skip_rows: 9`"),
    ],
)
def test_workbook_that_is_damaged_or_has_another_layout_is_refused(
    tmp_path: Path, rows: list, keys: dict, message: str
) -> None:
    with pytest.raises(IngestError, match=message):
        _read(tmp_path, write_xlsx({"S": rows}), **keys)


def test_workbook_with_skipped_rows_or_without_a_header_is_read(tmp_path: Path) -> None:
    with_title = write_xlsx({"S": [["Sales"], [], *ROWS]})
    assert len(_read(tmp_path, with_title, skip_rows=2).rows) == 2
    assert len(_read(tmp_path, write_xlsx({"S": ROWS[1:]}), column_names=HEADER).rows) == 2


def test_opendocument_sheet_and_zipped_workbook_are_read(tmp_path: Path) -> None:
    rows: list[list[str | float]] = [["id", "when", "amount"], [13085, "2025-01-01", 5], ["00042", "2025-01-02", 12.5]]
    result = _read(tmp_path, write_ods(rows), "export.ods")
    assert result.rows["customer_id"].tolist() == ["13085", "00042"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sales.xlsx", write_xlsx({"S": ROWS}))
    assert len(_read(tmp_path, buffer.getvalue(), "export.zip").rows) == 2


def test_cut_workbook_is_refused_at_every_byte(tmp_path: Path) -> None:
    content = write_xlsx({"S": ROWS})
    for end in range(4, len(content), 211):
        with pytest.raises(IngestError, match=r"broken zip archive|not a readable workbook"):
            _read(tmp_path, content[:end])
    with pytest.raises(IngestError, match=r"not a readable workbook.*Save it again as xlsx or CSV"):
        _read(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000), "old.xls")
