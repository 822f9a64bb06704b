"""Layout of text exports: what can be read is read, and a message names the rest and the remedy."""

from collections.abc import Callable

import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.csv_reader import read_csv

HEADER = "id,when,amount"
ROWS = "1,2025-01-01,5\n2,2025-01-02,12.5\n"


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        (
            f"Sales report\nfrom,2025-01-01,to,2025-02-01\n\n{HEADER}\n{ROWS}",
            {},
            r"Line 4 has every mapped column and seems to be the header: set `skip_rows: 3` in",
        ),
        (f"Sales report\n{HEADER}\n{ROWS}", {}, r"Line 2 .*`skip_rows: 1`"),
        (f"\n\nSales report\n{HEADER}\n{ROWS}", {}, r"Line 4 .*`skip_rows: 3`"),
        (
            f"Sales report\n{HEADER.replace(',', ';')}\n{ROWS.replace(',', ';')}",
            {},
            r"`skip_rows: 1` in the mapping, and set `delimiter:` to ';'",
        ),
        *(
            (
                f"{HEADER}\n{ROWS}".replace(",", other),
                {"delimiter": given},
                f"set `delimiter:` to {other!r} in".replace("\\", "\\\\").replace("|", r"\|"),
            )
            for other, given in ((";", ","), ("\t", ","), ("|", ";"), (",", ";"), (",", "\t"))
        ),
        (f"id;x,when;amount\n{ROWS}", {}, "Columns found: 'id;x', 'when;amount'"),
        (f"Id,when,amount\n{ROWS}", {}, r"'id'.*is missing.*Did you mean 'Id'\?"),
        (f"id,When\u00a0,AMOUNT\n{ROWS}", {}, r"'when'.*Did you mean 'When'\?"),
        (f"id,when,am\u200bount\n{ROWS}", {}, r"Did you mean 'am\\u200bount'\?"),
        (f"id,when,ammount\n{ROWS}", {}, r"Did you mean 'ammount'\?"),
        (ROWS, {}, r"The first line, '1,2025-01-01,5', seems to be a row: the file has no header.*`column_names:"),
        (ROWS, {"column_names": ["id", "when"]}, r"has 3 columns in its first line, and `column_names`.* has 2"),
        (f"{HEADER}\n{ROWS}when,id,amount\n2025-01-03,3,5\n", {}, r"row 3 is a second header with .* another order"),
        (f"{HEADER}\n{ROWS}id,when,price\n3,2025-01-03,5\n", {}, r"row 3 is a second header with other columns"),
        (f"{HEADER}\n{ROWS}".replace(",", "   "), {}, r"set `delimiter:` to 'whitespace'"),
        ("'id','when','amount'\n", {}, r"in single quotes: export them with double quotes"),
        ('"id,when,amount"\n"1,2025-01-01,5"\n', {}, r"Each line is quoted as a whole"),
        (
            f"{HEADER}\n1,2025-01-01,5,6\n2,2025-01-01,5,6\n",
            {},
            r"no line has the 3 fields of the header; .*'1,2025-01-01,5,6'",
        ),
        (f"{HEADER}\n{ROWS}\0\0\0", {}, r"ends with NUL characters: its copy was interrupted"),
    ],
)
def test_layout_that_the_mapping_does_not_describe_is_named(
    checked: Callable, text: str, keys: dict, message: str
) -> None:
    with pytest.raises(IngestError, match=message):
        checked(text, **keys)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (f"Sales report\n,2025\n\n{HEADER}\n{ROWS}", {"skip_rows": 3}),
        (f'Sales "report\n\n{HEADER}\n{ROWS}', {"skip_rows": 2}),
        (f"sep=;\n{HEADER}\n{ROWS}".replace(",", ";"), {}),
        (f"SEP=;\r\n{HEADER}\n{ROWS}".replace(",", ";"), {}),
        (f'"sep=;"\n{HEADER}\n{ROWS}'.replace(",", ";"), {}),
        (f"sep=\t\n{HEADER}\n{ROWS}".replace(",", "\t"), {}),
        (f"sep=,\n{HEADER}\n{ROWS}", {}),
        (f"sep=;\n{HEADER}\n{ROWS}".replace(",", ";"), {"delimiter": ";"}),
        (f"sep=;\n{HEADER}\n{ROWS}".replace(",", ";").encode("utf-16"), {}),
        (f"{HEADER}\n{ROWS}".encode("utf-16"), {}),
        (f"{HEADER}\n{ROWS}".encode("utf-32"), {}),
        (f"{HEADER}\n{ROWS}".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (f"{HEADER}\n{ROWS}".encode("utf-8-sig"), {}),
        (f"{HEADER}\n{ROWS}".encode("utf-8-sig"), {"encoding": "utf-8-sig"}),
        (f"{HEADER}\n{ROWS}".replace("\n", "\r"), {}),
        (f"{HEADER}\r\n{ROWS}", {}),
        (f"{HEADER}\n{ROWS}".replace("5\n", "5\r"), {}),
        (f"\n \n{HEADER}\n{ROWS}".replace(" \n", "\n"), {}),
        (f"{HEADER}\n{ROWS}".replace("5\n", "5,\n"), {}),
        (f"{HEADER},\n{ROWS}", {}),
        (f"{HEADER},\n{ROWS}".replace("5\n", "5,\n"), {}),
        (f"{HEADER}\n{ROWS}\x1a", {}),
        (f"\ufeff{HEADER}\n1,2025-01-01,5\n\ufeff2,2025-01-02,12.5\n", {}),
        (f"sep=\\t\n{HEADER}\n{ROWS}".replace(",", "\t"), {}),
        (f"sep=;\n{HEADER}\n{ROWS}", {}),
        (f" id\t,\u00a0when ,amount\u00a0\n{ROWS}", {}),
        (ROWS, {"column_names": ["id", "when", "amount"]}),
        (f"Sales\n{ROWS}", {"column_names": ["id", "when", "amount"], "skip_rows": 1}),
    ],
)
def test_layout_that_is_certain_is_read(checked: Callable, text: str | bytes, keys: dict) -> None:
    result = checked(text, **keys)
    assert result.rows["customer_id"].tolist() == ["1", "2"]
    assert result.rows["amount"].tolist() == [5, 12.5]
    assert result.quarantine.empty


def test_utf16_mark_and_controls_of_cp1252_are_noted(checked: Callable) -> None:
    assert "was read as utf-16" in checked(f"{HEADER}\n{ROWS}".encode("utf-16")).notes[0]
    text = f"{HEADER}\nO\u2019Brien,2025-01-01,5\n".encode("cp1252")
    assert "As cp1252 it reads 'O\u2019Brien,2025-01-01,5'" in checked(text, encoding="latin-1").notes[0]
    assert not checked(text, encoding="cp1252").notes


@pytest.mark.parametrize("header", [HEADER, " id,when ,amount", '"id","when","amount"'])
def test_repeated_header_is_set_aside(checked: Callable, header: str) -> None:
    result = checked(f"{HEADER}\n{ROWS}{header}\n{ROWS}{header}\n{ROWS}")
    assert len(result.rows) == 6
    assert result.reasons == {"a repeated header": 2}
    assert result.quarantine["row_number"].tolist() == [3, 6]


TOTALS = [
    "Total,,17.5",
    "Total,2025-01-31,17.5",
    "TOTAL:,2025-01-31,17.5",
    "Grand total,,17.5",
    "Summe,31.01.2025,17.5",
    "Gesamtsumme,2025-01-31,17.5",
    "Total g\u00e9n\u00e9ral,2025-01-31,17.5",
    "\u5408\u8ba1,2025-01-31,17.5",
    "Total (2 rows),,17.5",
    ",Total,17.5",
    "Subtotal,2025-01-31,17.5\nTotal,2025-01-31,17.5",
    "Total,2025-01-31,17.5\n,,",
]


@pytest.mark.parametrize("total", TOTALS)
def test_totals_at_the_end_are_set_aside(checked: Callable, total: str) -> None:
    result = checked(f"{HEADER}\n{ROWS}{total}\n")
    assert result.rows["customer_id"].tolist() == ["1", "2"]
    assert result.reasons["a totals row"] == (2 if "Subtotal" in total else 1)


def test_totals_of_blocks_are_set_aside_where_they_are_sums(checked: Callable) -> None:
    blocks = "".join(f"{i},2025-01-0{i},1000.5\n{i},2025-01-0{i},12\nTotal,2025-01-0{i},1012.5\n" for i in range(1, 8))
    result = checked(f"{HEADER}\n{blocks}")
    assert result.reasons == {"a totals row": 7}
    assert set(result.rows["customer_id"]) == set("1234567")


@pytest.mark.parametrize("name", ["Total", "Total Fitness Ltd", "Sum 41", "Summer", "Totally", "Suma"])
def test_customer_with_a_totals_word_is_a_customer(checked: Callable, name: str) -> None:
    result = checked(f"{HEADER}\n{name},2025-01-01,7\n{ROWS}{ROWS}")
    assert name in set(result.rows["customer_id"])
    if name not in ("Total", "Suma"):
        assert name in set(checked(f"{HEADER}\n{ROWS}{name},2025-01-01,7\n").rows["customer_id"])


def test_skip_rows_beyond_the_end_names_the_key() -> None:
    rules = ColumnMapping.model_validate(
        {"columns": {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}, "skip_rows": 9}
    )
    with pytest.raises(IngestError, match=r"x\.csv is empty below its first 9 lines: lower `skip_rows`"):
        read_csv("x.csv", b"id,when,amount\na,2025-01-01,5\n", rules)
