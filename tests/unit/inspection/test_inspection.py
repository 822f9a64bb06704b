"""First look: the proposal gives the table of an export in any dress, or asks; never another table while sure."""

from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.mapping_file import load_mapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.validation import validate_source
from holdfast.inspection.column_names import split_name
from holdfast.inspection.inspection import Inspection, inspect_source
from holdfast.inspection.mapping_writer import render_mapping, write_mapping
from holdfast.inspection.proposal import parse_setting
from tests.support.dressed_exports import write_export
from tests.support.exports.history import sort_table


def inspect(path: Path, **given: object) -> Inspection:
    return inspect_source(path, {key.replace("__", "."): value for key, value in given.items()}, 90, 30)


def decided(inspection: Inspection) -> dict[str, object]:
    return {decision.key: decision.value for decision in inspection.proposal.decisions}


def write_rows(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(24))
def test_inspect_source_export_in_random_dress_gives_its_table_or_asks(tmp_path: Path, seed: int) -> None:
    export = write_export(tmp_path, seed)
    found = inspect(export.path)
    if found.is_sure:
        assert found.preview is not None
        stored = sort_table(found.preview.transactions)
        assert len(stored) + found.preview.quarantined == len(export.table), export.dress
        assert stored.equals(export.table), export.dress


def test_inspect_source_exports_in_random_dress_are_mostly_sure(tmp_path: Path) -> None:
    found = [inspect(write_export(tmp_path, seed).path).is_sure for seed in range(100, 112)]
    assert sum(found) >= 10


def test_inspect_source_dates_without_day_above_12_asks_with_the_keys(tmp_path: Path) -> None:
    rows = [f"c{i % 4},{1 + i % 5:02d}/{1 + i % 6:02d}/2024,{i + 1}.50" for i in range(30)]
    found = inspect(write_rows(tmp_path / "a.csv", "customer,date,amount", rows))
    assert not found.is_sure
    (question,) = found.proposal.questions
    formats = [answer.keys["timestamp_format"] for answer in question.answers]
    assert set(formats) == {"%d/%m/%Y", "%m/%d/%Y"}
    assert inspect(found.path, timestamp_format="%d/%m/%Y").is_sure


def test_inspect_source_quantity_times_price_is_total_maps_the_total(tmp_path: Path) -> None:
    rows = [
        f"k{i % 7},2024-01-{1 + i % 28:02d},{1 + i % 5},{i % 9 + 0.25},{(1 + i % 5) * (i % 9 + 0.25)}"
        for i in range(60)
    ]
    found = inspect(write_rows(tmp_path / "a.csv", "c,d,x,y,z", rows))
    assert decided(found)["columns.amount"] == "z"
    assert decided(found)["columns.quantity"] == "x"


def test_inspect_source_total_repeated_on_lines_of_an_order_asks(tmp_path: Path) -> None:
    rows = [f"o{i // 3},k{i // 3 % 5},2024-01-{1 + i // 3 % 28:02d},{10 + i // 3}.50" for i in range(60)]
    found = inspect(write_rows(tmp_path / "a.csv", "order_id,customer,date,total", rows))
    assert [question.keys[0] for question in found.proposal.questions] == ["columns.amount"]


def test_inspect_source_id_per_order_beside_id_of_the_person_maps_the_person(tmp_path: Path) -> None:
    rows = [f"x{i},p{i % 20},2024-{1 + i % 12:02d}-0{1 + i % 9},{i}.25" for i in range(300)]
    found = inspect(write_rows(tmp_path / "a.csv", "customer_id,customer_unique_id,purchased,amount", rows))
    assert decided(found)["columns.customer_id"] == "customer_unique_id"


def test_inspect_source_negative_orders_with_a_letter_proposes_cancellation(tmp_path: Path) -> None:
    rows = [
        f"{'C' if i % 10 == 0 else ''}{5000 + i},k{i % 9},2024-02-{1 + i % 28:02d},{-5 if i % 10 == 0 else 9}.5"
        for i in range(80)
    ]
    found = inspect(write_rows(tmp_path / "a.csv", "invoice,customer,date,amount", rows))
    assert decided(found)["cancellation"] == {"column": "invoice", "starts_with": "C"}


def test_inspect_source_positive_orders_with_a_letter_asks(tmp_path: Path) -> None:
    rows = [f"{'C' if i % 10 == 0 else ''}{5000 + i},k{i % 9},2024-02-{1 + i % 28:02d},{i + 1}.5" for i in range(80)]
    found = inspect(write_rows(tmp_path / "a.csv", "invoice,customer,date,amount", rows))
    assert [question.keys for question in found.proposal.questions] == [("cancellation",)]


@pytest.mark.parametrize("header", ["product,date,amount", "store_id,date,amount", "sku,day,revenue"])
def test_inspect_source_without_a_customer_asks(tmp_path: Path, header: str) -> None:
    rows = [f"p{i % 20},2024-02-{1 + i % 28:02d},{i + 1}.5" for i in range(80)]
    found = inspect(write_rows(tmp_path / "a.csv", header, rows))
    assert ("columns.customer_id",) in [question.keys for question in found.proposal.questions]


def test_inspect_source_unique_ids_in_many_rows_asks(tmp_path: Path) -> None:
    rows = [f"p{i},2024-02-{1 + i % 28:02d},{i + 1}.5" for i in range(500)]
    found = inspect(write_rows(tmp_path / "a.csv", "id,date,amount", rows))
    assert not found.is_sure


def test_inspect_source_given_unknown_column_refuses(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv", "id,date,amount", ["a,2024-01-01,1"])
    with pytest.raises(IngestError, match="no such column"):
        inspect(path, columns__customer_id="absent")


def test_inspect_source_quarantine_shows_reason_and_example(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "a.csv", "id,date,amount", [*[f"a,2024-01-{i:02d},1.5" for i in range(1, 21)], "b,2024-01-02,free"]
    )
    preview = inspect(path).preview
    assert preview is not None
    assert [(reason.rows, reason.examples) for reason in preview.reasons] == [(1, ("'free' (a.csv, row 21)",))]


def test_inspect_source_short_history_counts_the_missing_days(tmp_path: Path) -> None:
    rows = [f"k{i % 5},2024-01-{1 + i % 28:02d},{i + 1}.5" for i in range(60)]
    readiness = inspect(write_rows(tmp_path / "a.csv", "id,date,amount", rows)).readiness
    assert readiness is not None
    assert not readiness.is_enough
    assert f"{readiness.needed_days - 28} more days" in readiness.describe()  # type: ignore[operator]


def test_inspect_source_month_without_rows_is_a_gap(tmp_path: Path) -> None:
    days = [f"2024-{month:02d}-{day:02d}" for month in (1, 2, 3, 5, 6, 7) for day in range(1, 30)]
    rows = [f"k{i % 11},{day},{i + 1}.5" for day in days for i in range(9)]
    readiness = inspect(write_rows(tmp_path / "a.csv", "id,date,amount", rows)).readiness
    assert readiness is not None
    assert [(str(first), str(last)) for first, last in readiness.gaps] == [("2024-03-30", "2024-04-30")]


def test_render_mapping_read_again_gives_the_same_rows(tmp_path: Path) -> None:
    export = write_export(tmp_path, 9)
    found = inspect(export.path)
    target = tmp_path / "mapping.yaml"
    write_mapping(render_mapping(found.proposal, export.path.name), target, overwrite=False)
    mapping = load_mapping(target)
    stored = validate_source(read_source(export.path, mapping), mapping, datetime.now(UTC)).rows
    assert sort_table(stored).equals(export.table)
    assert "# " in target.read_text()
    with pytest.raises(IngestError, match="exists"):
        write_mapping("x", target, overwrite=False)


def test_inspect_source_status_with_pending_orders_asks_with_a_condition(tmp_path: Path) -> None:
    rows = [f"k{i % 9},2024-02-{1 + i % 28:02d},{i}.5,{'pending' if i % 7 == 0 else 'paid'}" for i in range(80)]
    (question,) = inspect(write_rows(tmp_path / "a.csv", "user,date,amount,state", rows)).proposal.questions
    assert question.answers[0].keys == {"where.state": ["paid"]}


def test_inspect_source_several_currencies_asks_with_a_rule(tmp_path: Path) -> None:
    rows = [f"k{i % 9},2024-02-{1 + i % 28:02d},{i}.5,{'USD' if i % 7 == 0 else 'EUR'}" for i in range(80)]
    (question,) = inspect(write_rows(tmp_path / "a.csv", "user,date,amount,money", rows)).proposal.questions
    assert question.answers[0].keys == {"columns.currency": "money", "currency": {"only": "EUR"}}


def test_inspect_source_amounts_below_zero_asks_for_the_sign(tmp_path: Path) -> None:
    rows = [f"k{i % 9},2024-02-{1 + i % 28:02d},-{i + 1}.5" for i in range(80)]
    found = inspect(write_rows(tmp_path / "a.csv", "user,date,amount", rows))
    assert [question.keys for question in found.proposal.questions] == [("amount_sign",)]
    assert inspect(found.path, amount_sign="negated").is_sure


def test_inspect_source_amount_on_first_line_of_an_order_reads_one_row_per_order(tmp_path: Path) -> None:
    rows = [f"#{i // 2},k{i // 2 % 9},2024-02-{1 + i // 2 % 28:02d},{'' if i % 2 else f'{i + 1}.5'}" for i in range(80)]
    found = inspect(write_rows(tmp_path / "a.csv", "Name,Email,Created at,Total", rows))
    assert decided(found)["one_row_per"] == "Name"
    assert found.preview is not None and len(found.preview.transactions) == 40


def test_inspect_source_day_and_time_of_day_in_two_columns_joins_them(tmp_path: Path) -> None:
    rows = [f"{1 + i % 28:02d}.03.2024,{8 + i % 12:02d}:{i % 60:02d},k{i % 9},{i + 1}.5" for i in range(80)]
    found = inspect(write_rows(tmp_path / "a.csv", "Datum,Uhrzeit,Kunde,Summe", rows))
    assert decided(found)["columns.event_timestamp"] == ["Datum", "Uhrzeit"]
    assert found.preview is not None
    assert str(found.preview.transactions["event_timestamp"].iloc[0]) == "2024-03-01 08:00:00+00:00"


def test_inspect_source_guest_id_with_many_rows_is_ignored(tmp_path: Path) -> None:
    rows = [f"{'guest' if i % 4 == 0 else f'k{i % 31}'},2024-02-{1 + i % 28:02d},{i + 1}.5" for i in range(200)]
    assert decided(inspect(write_rows(tmp_path / "a.csv", "user,date,amount", rows)))["ignore_customers"] == ["guest"]


def test_inspect_source_titles_above_the_header_are_skipped(tmp_path: Path) -> None:
    rows = ["customer;date;amount", *[f"k{i % 9};2024-02-{1 + i % 28:02d};{i + 1},5" for i in range(40)]]
    found = inspect(write_rows(tmp_path / "a.csv", "Report of sales\nFebruary 2024", rows))
    assert decided(found)["skip_rows"] == 2
    assert found.preview is not None and len(found.preview.transactions) == 40


def test_inspect_source_titles_of_a_sheet_are_skipped(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Report of 2023"])
    sheet.append([])
    sheet.append(["Kundennr", "Datum", "Betrag", "Filiale"])
    for i in range(60):
        sheet.append([1000 + i % 17, date(2023, 1 + i % 12, 1 + i % 28), i + 0.5, i % 4])
    book.save(tmp_path / "a.xlsx")
    found = inspect(tmp_path / "a.xlsx")
    assert found.is_sure and decided(found)["columns.customer_id"] == "Kundennr"
    assert found.preview is not None and len(found.preview.transactions) == 60


def test_inspect_source_without_a_header_names_the_columns(tmp_path: Path) -> None:
    rows = [f"{100 + i},k{i % 31},2024-02-{1 + i % 28:02d},{i + 1}.5" for i in range(300)]
    found = inspect(write_rows(tmp_path / "a.csv", "99,k1,2024-02-01,7.5", rows))
    assert decided(found)["column_names"] == ["column 1", "column 2", "column 3", "column 4"]
    assert decided(found)["columns.customer_id"] == "column 2"
    assert found.preview is not None and len(found.preview.transactions) == 301


def test_inspect_source_many_unreadable_rows_asks(tmp_path: Path) -> None:
    rows = [f"k{i % 9},2024-02-{1 + i % 28:02d},{'free' if i % 4 == 0 else f'{i + 1}.5'}" for i in range(80)]
    found = inspect(write_rows(tmp_path / "a.csv", "user,date,amount", rows))
    assert [question.keys for question in found.proposal.questions] == [("max_bad_share",)]


@pytest.mark.parametrize(
    ("name", "support"),
    [
        *[(name, 3) for name in ("CustomerID", "cust_id", "Kundennummer", "id_cliente", "user", "order_customer_id")],
        *[(name, 2) for name in ("E-Mail", "email_address")],
        *[(name, -1) for name in ("order_id", "customer_order_id", "product_id", "StoreKey", "Country", "discount")],
        *[(name, 0) for name in ("x", "column 3")],
    ],
)
def test_customer_support_of_a_column_name(name: str, support: int) -> None:
    assert split_name(name).customer_support == support


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("payment_value", "total"),
        ("Order Total Tax Amount", "none"),
        ("amount_incl_tax", "total"),
        ("UnitPrice", "price"),
        ("Einzelpreis", "price"),
        ("Menge", "quantity"),
        ("item_count", "quantity"),
        ("ProductKey", "none"),
    ],
)
def test_amount_class_of_a_column_name(name: str, kind: str) -> None:
    assert split_name(name).amount_class == kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timestamp_format=%d/%m/%Y", ("timestamp_format", "%d/%m/%Y")),
        ("delimiter=;", ("delimiter", ";")),
        ("quoted=false", ("quoted", False)),
        ('cancellation={"column": "a b", "starts_with": "C"}', ("cancellation", {"column": "a b", "starts_with": "C"})),
        ("cancellation=null", ("cancellation", None)),
        ("decimal=,", ("decimal", ",")),
    ],
)
def test_parse_setting_returns_key_and_value(text: str, expected: tuple[str, object]) -> None:
    assert parse_setting(text) == expected


def test_parse_setting_without_equals_sign_refuses() -> None:
    with pytest.raises(IngestError, match="KEY=VALUE"):
        parse_setting("decimal")
