"""Column mapping files."""

import re
from pathlib import Path

import pytest
import yaml

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.file_rules import FileRule, matches_file
from holdfast.ingestion.mapping_columns import AmountSum, Columns, Constant, FirstOf
from holdfast.ingestion.mapping_file import load_mapping
from holdfast.ingestion.mapping_rules import Cancellation, CarryDown, Join, Refund

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "ingest.md"
COLUMNS = "columns: {customer_id: a, event_timestamp: b, amount: c}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: [", "not readable as YAML"),
        ("- a\n", "must be a YAML mapping that starts with `columns:`"),
        ("time_zone: UTC\n", "columns: missing. Add this key."),
        ("columns: {customer_id: a, amount: c}\n", "columns.event_timestamp: missing"),
        (
            "columns: {customer_id: a, event_timestamp: b, quantity: c}\n",
            "either amount, or both quantity and unit_price",
        ),
        (
            "columns: {customer_id: a, event_timestamp: b, amount: c, unit_price: d}\n",
            "map amount or unit_price, not both",
        ),
        ("columns: {customer_id: a, event_timestamp: b, amount: a}\n", "mapped to the same column"),
        (COLUMNS + "timezone: UTC\n", "timezone: unknown key. Known here: kind, columns, timestamp_format, time_zone"),
        ("columns: {customer_id: a, event_timestamp: b, amount: c, price: d}\n", "columns.price: unknown key"),
        (COLUMNS + "cancellation: {column: a, starts_with: C, ends_with: D}\n", "cancellation.ends_with: unknown key"),
        (COLUMNS + "timestamp_format: '%Q'\n", "timestamp_format: 'Q' is a bad directive"),
        (COLUMNS + "timestamp_format: day/month\n", "has no directive"),
        (COLUMNS + "time_zone: Europe/Londno\n", "time_zone: 'Europe/Londno' is not an IANA time zone"),
        (COLUMNS + "encoding: latin1000\n", "encoding: 'latin1000' is not an encoding"),
        (COLUMNS + "delimiter: tabs\n", "delimiter: 'tabs' must be one character"),
        (
            "columns: {customer_id: {constant: 1}, event_timestamp: b, amount: c}\n",
            "must be a column name or a list",
        ),
        ("columns: {customer_id: [a], event_timestamp: b, amount: c}\n", "columns.customer_id: needs 2 values or more"),
        ("columns: {customer_id: a, event_timestamp: b, amount: {sum: [c, d]}}\n", "columns.amount.sum: unknown key"),
        ("columns: {customer_id: a, event_timestamp: b, amount: {add: [c, c]}}\n", "a column is named twice"),
        ("columns: {customer_id: a, event_timestamp: b, amount: {add: c}}\n", "needs two columns or more"),
        ("columns: {customer_id: a, event_timestamp: b, amount: {add: [a, d]}}\n", "mapped to the same column"),
        ("columns: {customer_id: a, event_timestamp: b, amount: {constant: x}}\n", "the constant 'x' is not a number"),
        ("columns: {customer_id: a, event_timestamp: {constant: x}, amount: c}\n", "'x' is not an ISO 8601 time"),
        ("columns: {customer_id: a, event_timestamp: b, amount: {constant: 1, x: 1}}\n", "Known here: constant."),
        (COLUMNS + "where: {status: yes}\n", "where.status.is: True must be in quotes"),
        (COLUMNS + "where: {status: 1.50}\n", "where.status.is: 1.5 must be in quotes"),
        (COLUMNS + "where: {status: {equals: a}}\n", "where.status.equals: unknown key. Known here: is, starts_with."),
        (COLUMNS + "where: {status: {is: a, starts_with: b}}\n", "where.status: give either `is` or `starts_with`"),
        (COLUMNS + "where: {2019: a}\n", "where.2019: the name of the column must be in quotes"),
        (COLUMNS + "where: {d: a}\nwhere_not: {d: a}\n", "no row would remain"),
        (COLUMNS + "where: {d: a}\ncancellation: {column: d, is: b}\n", "add 'b' to where.d, or remove cancellation"),
        (COLUMNS + "cancellation: {column: d}\n", "cancellation: give either `is` or `starts_with`"),
        (
            "columns: {customer_id: a, event_timestamp: b, amount: {add: [c, d], discount_rate: e}}\n",
            "discount_rate is taken off a product",
        ),
        ("columns: {customer_id: a, event_timestamp: b, amount: {subtract: [c, d]}}\n", "needs multiply or add"),
        (
            "columns: {customer_id: {first_of: [a]}, event_timestamp: b, amount: c}\n",
            "first_of: needs 2 values",
        ),
        (
            "columns: {customer_id: a, event_timestamp: b, amount: {first_of: [c, d]}}\n",
            "amount: must be a column",
        ),
        (
            "columns: {customer_id: a, event_timestamp: b, amount: {multiply: [c, d]}}\nminor_units: true\n",
            "apply to one factor of c × d",
        ),
        (COLUMNS + "carry_down: {by: d, columns: [c]}\n", "every line the amount 'c' of its order: use one_row_per"),
        (COLUMNS + "refund: c\n", "column 'c' is both the amount and the refund"),
        (COLUMNS + "amount_sign: minus\n", "amount_sign: Input should be 'unchanged' or 'negated'"),
        (
            "columns: {customer_id: a, event_timestamp: b, quantity: c, unit_price: d}\none_row_per: e\n",
            "'c' has a value for each line: map amount without",
        ),
        (
            "columns: {customer_id: a, event_timestamp: b, amount: [c, d]}\n",
            "amount: must be a column name or {constant",
        ),
        ("columns: {customer_id: a, event_timestamp: b, amount: 2019}\n", "columns.amount: must be text, in quotes"),
        (COLUMNS + "where: status\n", "where: must have keys and values, for example {status: paid}"),
        (COLUMNS + "cancellation: status\n", "cancellation: must have keys and values"),
        (COLUMNS + "join: customers.csv\n", "join: must be a list"),
        (COLUMNS + "join: {file: x.csv}\n", "join.0: give either `on`"),
        (COLUMNS + "join: [{file: x.csv}]\n", "join.0: give either `on`, or both `left_on` and `right_on`"),
        (COLUMNS + "join: [{file: x.csv, left_on: k}]\n", "join.0: give either `on`, or both"),
        (COLUMNS + "join: [{file: x.csv, left_on: k, right_on: [k, l]}]\n", "name different numbers of columns"),
        (COLUMNS + "join: [{file: x.csv, on: k}, {file: x.csv, on: l}]\n", "join names a file twice"),
        (COLUMNS + "exact_duplicates: drop\n", "exact_duplicates: Input should be 'keep' or 'quarantine'"),
        (COLUMNS + "file: []\n", "Did you mean files?"),
        (COLUMNS + "files: [{match: '*', time_zone: Mars}]\n", "files.0.time_zone: 'Mars' is not an IANA time zone"),
        (COLUMNS + "files: [{match: '*', timezone: UTC}]\n", "files.0.timezone: unknown key"),
        (COLUMNS + "files: [{match: '*', columns: {price: d}}]\n", "files.0.columns.price: unknown key"),
        (COLUMNS + "files: [{match: '*', max_bad_share: 1}]\n", "max_bad_share applies to all files"),
        (COLUMNS + "files: [{time_zone: UTC}]\n", "files.0.match: missing"),
        (COLUMNS + "max_bad_share: 2\n", "max_bad_share: Input should be less than or equal to 1"),
        (COLUMNS + "thousands: '.'\n", "decimal and thousands are both '.'"),
        (COLUMNS + "currency: {only: EURO-Z}\n", "currency.only: 'EURO-Z' is not an ISO 4217 code"),
        (COLUMNS + "currency: {}\n", "currency: give only, rates or default"),
        (COLUMNS + "currency: {only: EUR, rates: {USD: 1}}\n", "currency: give only or rates, not both"),
        (COLUMNS + "currency: {rates: {USD: 0}}\n", "currency.rates.USD: Input should be greater than 0"),
        (COLUMNS + "currency: {column: a}\n", "currency.column: unknown key. Known here: only, rates, default"),
        (COLUMNS + "ignore_customers: [no]\n", "ignore_customers.0: False is not text; put the id in quotes"),
        (COLUMNS + "customer_id_form: {case: title}\n", "customer_id_form.case: Input should be 'keep', 'lower' or"),
    ],
)
def test_load_mapping_with_invalid_content_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "export.yaml"
    path.write_text(text)
    with pytest.raises(IngestError) as error:
        load_mapping(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_load_mapping_with_several_errors_reports_all(tmp_path: Path) -> None:
    path = tmp_path / "export.yaml"
    path.write_text(COLUMNS + "time_zone: Mars\ndelimiter: tabs\n")
    with pytest.raises(IngestError, match=r"(?s)time_zone.*delimiter"):
        load_mapping(path)


def test_load_mapping_with_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"nowhere\.yaml does not exist"):
        load_mapping(tmp_path / "nowhere.yaml")


def test_sha256_depends_on_values_not_on_formatting(tmp_path: Path) -> None:
    path = tmp_path / "export.yaml"
    digests = []
    for text in (COLUMNS, "# a comment\ntime_zone: UTC\n" + COLUMNS, COLUMNS + "time_zone: Europe/Paris\n"):
        path.write_text(text)
        digests.append(load_mapping(path).sha256)
    assert digests[0] == digests[1] != digests[2]


def test_for_file_applies_the_first_matching_rule_only() -> None:
    mapping = ColumnMapping.model_validate(
        {
            "columns": {"customer_id": "id", "event_timestamp": "when", "amount": "total"},
            "time_zone": "Europe/Paris",
            "files": [
                {"match": "2019-*.csv", "decimal": ",", "columns": {"amount": "Betrag"}},
                {"match": "2019-01.csv", "decimal": ".", "time_zone": "UTC"},
            ],
        }
    )
    january, later = mapping.for_file("2019-01.csv"), mapping.for_file("2020-01.csv")
    assert (january.decimal, january.time_zone, january.columns.amount) == (",", "Europe/Paris", "Betrag")
    assert (later.decimal, later.columns.amount, later.files) == (".", "total", ())
    assert january == mapping.for_file("2019-02.csv") != later
    assert january.sha256 == mapping.for_file("sub/2019-02.CSV").sha256 != later.sha256


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("a.csv", "a.csv", True),
        ("A.CSV", "a.csv", True),
        ("a.csv.gz", "a.csv", False),
        ("shop[1].csv", "shop[1].csv", True),
        ("shop1.csv", "shop[1].csv", False),
        ("2019-05.csv", "2019-??.csv", True),
        ("2019-5.csv", "2019-??.csv", False),
        ("2019/05.csv", "05.csv", True),
        ("2019/05.csv", "2019/*", True),
        ("2020/05.csv", "2019/*", False),
    ],
)
def test_matches_file_reads_stars_and_question_marks_only(name: str, pattern: str, expected: bool) -> None:
    assert matches_file(name, pattern) is expected


def _first_cells(text: str, header: str) -> list[str]:
    """Return the first cell of each row of the Markdown table that starts with a header."""
    table = text[text.index(header) :].split("\n\n")[0]
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def test_one_rule_needs_no_list() -> None:
    content = yaml.safe_load(COLUMNS + "join: {file: x.csv, on: k}\nfiles: {match: y.csv, decimal: ','}\nrefund: r\n")
    listed = content | {"join": [content["join"]], "files": [content["files"]], "refund": {"amount": "r"}}
    assert ColumnMapping.model_validate(content).sha256 == ColumnMapping.model_validate(listed).sha256


def test_documentation_lists_every_key_of_a_mapping_once() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    keys = [cell.strip("`") for cell in _first_cells(text, "| key | default | meaning |")]
    assert sorted(keys) == sorted(ColumnMapping.model_fields)


def test_documentation_names_every_field_and_every_key_of_a_nested_part() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    for model in (AmountSum, Cancellation, CarryDown, Columns, Constant, FileRule, FirstOf, Join, Refund):
        for name, field in model.model_fields.items():
            assert re.search(rf"[`{{ .]{field.alias or name}[`:,]", text), f"{model.__name__}.{name}"


@pytest.mark.parametrize("header", ["| key | default | meaning |", "| source | fields | meaning |"])
def test_documented_examples_are_valid(header: str) -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    table = text[text.index(header) :].split("\n\n")[0]
    columns = {"customer_id": "a", "event_timestamp": "b", "amount": "c"}
    checked = 0
    for line in table.splitlines()[2:]:
        key, middle, meaning = (cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")[:3])
        key = key.strip("`")
        if "source" in header:
            for name in re.findall(r"`(\w+)`", middle):
                others = {"amount": None, "quantity": "d"} if name == "unit_price" else {}
                ColumnMapping.model_validate({"columns": columns | others | {name: yaml.safe_load(key)}})
                checked += 1
        else:
            for example in re.findall(r"`(\[.+?\]|\{.+?\})`", meaning):
                attributes = {"customer_id": "a", "event_timestamp": "b", "attributes": {"country": "c"}}
                kind = (
                    {"kind": "attributes", "columns": attributes} if key in ("missing_values", "erased_values") else {}
                )
                ColumnMapping.model_validate({"columns": columns, key: yaml.safe_load(example)} | kind)
                checked += 1
    assert checked > 3
