"""Files of a folder that hold the same sales, though not the same text: refused, and other files accepted."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.validation import validate_source

COLUMNS = {"customer_id": "id", "event_timestamp": "date", "amount": "amount"}
SALES = [("a", "2025-01-01", "10"), ("b", "2025-01-02", "11.5"), ("c", "2025-01-03", "12"), ("d", "2025-01-04", "13")]
LATER = [("a", "2025-02-01", "10"), ("b", "2025-02-02", "11.5"), ("c", "2025-02-03", "12")]


def _write(path: Path, sales: list[tuple[str, ...]], delimiter: str = ",", **extra: Callable[[int], str]) -> None:
    header = ["id", "date", "amount", *extra]
    rows = [[*sale, *(value(row) for value in extra.values())] for row, sale in enumerate(sales)]
    path.write_text("".join(delimiter.join(row) + "\n" for row in [header, *rows]))


def _count_rows(folder: Path, **keys: Any) -> int:
    rules = ColumnMapping.model_validate({"columns": COLUMNS, **keys})
    return len(validate_source(read_source(folder, rules), rules, datetime(2026, 1, 1, tzinfo=UTC)).rows)


@pytest.mark.parametrize("repeated", [SALES[:3], SALES[1:] + LATER, SALES[::-1], SALES[:2]])
@pytest.mark.parametrize("column", ["status", "row", "exported"])
def test_sales_with_another_value_in_a_column_that_is_not_mapped_are_refused(
    tmp_path: Path, column: str, repeated: list[tuple[str, ...]]
) -> None:
    _write(tmp_path / "1.csv", SALES, **{column: lambda row: f"old {row}"})
    _write(tmp_path / "2.csv", repeated, **{column: lambda row: f"new {row}"})
    with pytest.raises(IngestError, match=r"2\.csv has \d sales of 1\.csv again \(row 1: .*exclude_files.*one by one"):
        _count_rows(tmp_path)
    assert _count_rows(tmp_path, overlapping_files="keep") == len(SALES) + len(repeated)
    assert _count_rows(tmp_path, exclude_files=["2.csv"]) == len(SALES)


def test_sales_in_another_file_type_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "1.csv", SALES)
    ids, dates, amounts = zip(*SALES, strict=True)
    times = [datetime.fromisoformat(date) for date in dates]
    pq.write_table(pa.table({"id": ids, "date": times, "amount": list(map(float, amounts))}), tmp_path / "2.parquet")
    with pytest.raises(IngestError, match=r"2\.parquet has 4 sales of 1\.csv again"):
        _count_rows(tmp_path)


def test_sales_that_another_rule_reads_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "1.csv", SALES)
    _write(tmp_path / "2.csv", SALES, delimiter=";")
    with pytest.raises(IngestError, match=r"2\.csv has 4 sales of 1\.csv again"):
        _count_rows(tmp_path, files=[{"match": "2.csv", "delimiter": ";"}])


_FIELD = st.sampled_from(["id", "amount", "status", "date"])


@given(
    rows=st.lists(st.tuples(st.sampled_from("abcde"), st.integers(100, 9999)), min_size=12, max_size=30),
    edits=st.dictionaries(st.integers(1, 10), _FIELD, min_size=1, max_size=2),
    added=st.integers(0, 4),
    newest_first=st.booleans(),
    swapped=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_exports_of_one_period_count_no_edited_row_twice(
    rows: list[tuple[str, int]], edits: dict[int, str], added: int, newest_first: bool, swapped: bool
) -> None:
    """The later of two exports has new rows, and a few rows in another version."""

    def write(path: Path, sales: list[list[str]]) -> None:
        ordered = sales[::-1] if newest_first else sales
        path.write_text(
            "\n".join(",".join(sale) for sale in [["id", "date", "amount", "status", "order"], *ordered]) + "\n"
        )

    begin = datetime(2025, 1, 1, 9)  # noqa: DTZ001
    sales = [
        [who, (begin + n * timedelta(hours=7)).isoformat(" "), str(cents), "paid", f"R{n}"]
        for n, (who, cents) in enumerate(rows)
    ]
    later = [list(sale) for sale in sales]
    for row, field in edits.items():
        if field == "date":
            later[row][1] = (datetime.fromisoformat(later[row][1]) + timedelta(minutes=9)).isoformat(" ")
        else:
            later[row][["id", "", "amount", "status"].index(field)] += "0"
    later += [["new", (begin + timedelta(days=60 + n)).isoformat(" "), "5", "paid", f"S{n}"] for n in range(added)]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "1.csv"), later if swapped else sales)
        write(Path(folder, "2.csv"), sales if swapped else later)
        with pytest.raises(IngestError, match="would count"):
            _count_rows(Path(folder))
        assert _count_rows(Path(folder), exclude_files=["2.csv" if swapped else "1.csv"]) == len(later)


@given(
    size=st.integers(12, 30),
    ends=st.tuples(st.integers(6, 12), st.integers(0, 6)),
    missing=st.sets(st.integers(0, 30), max_size=6),
    is_late=st.booleans(),
    by_customer=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_exports_of_overlapping_periods_are_read_once(
    size: int, ends: tuple[int, int], missing: set[int], is_late: bool, by_customer: bool
) -> None:
    """The first export ends within the second one; rows that one lacks arrived late, or were deleted."""
    begin = datetime(2025, 1, 1, 9)  # noqa: DTZ001
    shared = [("k", (begin + timedelta(days=2, minutes=n)).isoformat(" "), str(n)) for n in range(1, 4)]
    sales = [("abc"[n % 3], (begin + n * timedelta(hours=7)).isoformat(" "), str(n % 4 + 1)) for n in range(size)]
    first = [sale for n, sale in enumerate(sales[: ends[0]]) if not (is_late and n in missing)]
    second = [sale for n, sale in enumerate(sales) if n >= ends[1] and (is_late or n not in missing)]
    with tempfile.TemporaryDirectory() as folder:
        for name, part in (("1.csv", first), ("2.csv", second)):
            _write(Path(folder, name), sorted([*part, *shared], key=None if by_customer else lambda sale: sale[1]))
        assert _count_rows(Path(folder)) == len({*first, *second, *shared})


@pytest.mark.parametrize(
    ("sales", "others"),
    [
        (SALES, LATER),
        (SALES, [*SALES[:1], *LATER]),  # a repeated purchase
        (SALES[:1], SALES[:1]),
        # Events of one amount on the same days: customers who were active in the web shop and in the app.
        ([(x, "2025-01-01", "1") for x in "abcdef"], [(x, "2025-01-01", "1") for x in "abcxyz"]),
    ],
)
def test_sales_that_are_few_or_not_identified_are_accepted(tmp_path: Path, sales: list, others: list) -> None:
    _write(tmp_path / "1.csv", sales, order=lambda row: f"1-{row}")
    _write(tmp_path / "2.csv", others, order=lambda row: f"2-{row}")
    assert _count_rows(tmp_path) == len(sales) + len(others)
