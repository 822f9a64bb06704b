"""Notation of numbers: each value is right, in quarantine, or the column is refused."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IngestError
from holdfast.ingestion.parsing.columns import ParsedColumn, read_text_column
from holdfast.ingestion.parsing.numbers import parse_numbers
from tests.support.text_columns import build_column, build_mapping

# Columns whose notation is certain, in front of the value of a test.
POINT = ["12.50", "7.25", "3.99"]
COMMA = ["12,50", "7,25", "3,99"]


def _parse(values: list[str], field: str = "amount", **mapping: Any) -> ParsedColumn:
    others = {"currency": mapping.pop("currencies")} if "currencies" in mapping else {}
    return parse_numbers(build_column(values, **others), field, build_mapping(**mapping))


def _last(values: list[str], **mapping: Any) -> float | str:
    """Return the last value, or the reason for its quarantine."""
    found = _parse(values, **mapping)
    reasons = [issue.reason for issue in found.issues if issue.rows[-1]]
    assert bool(reasons) == bool(np.isnan(found.values.iloc[-1]))
    return reasons[0] if reasons else float(found.values.iloc[-1])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1,234.56", 1234.56), ("1,234", 1234), ("1,234,567", 1234567), ("1 234.56", 1234.56), ("1'234.56", 1234.56),
        ("1’234.56", 1234.56), ("1\u00a0234.56", 1234.56), ("1\u202f234.56", 1234.56), ("1\u2009234.56", 1234.56),
        ("12,34,567.89", 1234567.89), ("1,00,000", 100000), ("$12.00", 12), ("-$12.00", -12), ("$-12.00", -12),
        ("($12.00)", -12), ("$(12.00)", -12), ("(1,234.50)", -1234.5), ("12.00-", -12), ("12.00 €", 12), ("€12.00", 12),
        ("US$ 12", 12), ("R$ 1,200.00", 1200), ("CHF 12.00", 12), ("12.00 kr", 12), ("kr. 12.00", 12), ("Rs.500", 500),
        ("Rs. 1,50,000", 150000), ("12 EUR", 12), ("12.00 zł", 12), ("₹1,00,000.00", 100000), ("₿12.00", 12),
        ("−12.00", -12), ("\u200e-12.00", -12), ("＄１２．００", 12), ("١٢٫٥٠", 12.5), ("१२३", 123),
        ("1,234.50 USD", 1234.5), ('="12.50"', 12.5), ("'12.50", 12.5), ("$.50", 0.5), ("+12.00", 12), ("12.", 12),
        ("1.2e1", 12), ("1.5E+03", 1500),
    ],
)  # fmt: skip
def test_number_with_decimal_point_is_read(written: str, expected: float) -> None:
    assert _last([*POINT, written]) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1.234,56", 1234.56), ("1.234", 1234), ("1 234,56 €", 1234.56), ("1'234,56", 1234.56),
        ("-1.234,56 €", -1234.56), ("€ 1.234,56", 1234.56), ("R$ 1.234,56", 1234.56), ("1.000.000,00", 1000000),
        ("12,00-", -12), ("(12,5)", -12.5), (",5", 0.5), ("€ ,50", 0.5), ("1,5E+03", 1500),
        ("1234,5", 1234.5), ("1\u202f234,5", 1234.5),
    ],
)  # fmt: skip
def test_number_with_decimal_comma_is_read(written: str, expected: float) -> None:
    assert _last([*COMMA, written], decimal=",") == expected


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("12,50", "is written with a decimal comma, unlike the column"),
        ("0,123", "is written with a decimal comma, unlike the column"),
        ("1.234,56", "is written with a decimal comma, unlike the column"),
        ("1.234.567", "is written with a decimal comma, unlike the column"),
        ("1,23,4", "has digits in irregular groups"),
        ("1,2345.6", "has digits in irregular groups"),
        ("1 23.45", "has digits in irregular groups"),
        ("01,234.5", "has digits in irregular groups"),
        ("1.2.3", "has digits in irregular groups"),
        ("1.234 567", "has digits in irregular groups"),
        ("12%", "is a percentage"), ("12 ‰", "is a percentage"), ("12.00 CR", "has a mark CR or DR"),
        ("DR 12.00", "has a mark CR or DR"), ("1_000", "is not a number"), ("0x1F", "is not a number"),
        ("12 kg", "is not a number"), ("12²", "is not a number"), ("½", "is not a number"), ("1/2", "is not a number"),
        ("12.-", "is not a number"), ("(12.00", "is not a number"), ("(-12.00)", "is not a number"),
        ("--12", "is not a number"), ("-12-", "is not a number"), ("$12 €", "is not a number"),
        ("1١", "is not a number"), ("12 (3)", "is not a number"), ("EUR.50", "is not a number"),
        ("2025-01-02", "is not a number"), ("1,200e3", "is written with a decimal comma, unlike the column"),
    ],
)  # fmt: skip
def test_other_value_is_quarantined_with_its_kind_and_an_example(written: str, reason: str) -> None:
    values = [*POINT, written]
    assert str(_last(values)).startswith(f"amount {reason}")
    assert any(repr(written) in note for note in _parse(values).notes)


@pytest.mark.parametrize(
    ("values", "mapping", "key"),
    [
        (["12,50", "7,25", "8"], {}, "decimal: ','"),
        (["12.50", "7.25", "8"], {"decimal": ","}, "decimal: '.'"),
        (["1.234,50", "1.234", "7"], {}, "decimal: ','"),
        (["1.5", "1.234", "1.500"], {"decimal": ","}, "decimal: '.'"),
        (["10", "20", "0.5"], {"decimal": ","}, "decimal: '.'"),
        (["950", "1.234", "12.500"], {}, "decimal: '.'` or `decimal: ','"),
        (["$5", "$6", "€5", "7"], {}, "currency: {only: USD}"),
        (["5 CR", "6 DR", "7"], {}, "credit_sign"),
        (["5%", "6 %", "7"], {}, "percentages"),
        (["19.99", "5.49", "7"], {"minor_units": True}, "minor_units"),
    ],
)
def test_column_that_contradicts_the_mapping_is_refused(values: list[str], mapping: dict, key: str) -> None:
    with pytest.raises(IngestError, match=r"values\.csv, row 1|values\.csv, row 2|values\.csv, row 3") as error:
        _parse(values, **mapping)
    assert key in str(error.value)


def test_file_in_another_notation_than_the_other_files_is_refused() -> None:
    first, second = build_column(["1.50"] * 50), build_column(["1,50", "1,75", "0,99", "2"])
    both = first.files[0], second.files[0]
    with pytest.raises(IngestError, match="files:"):
        parse_numbers(read_text_column(both, "value"), "amount", build_mapping())


@pytest.mark.parametrize(
    ("values", "mapping", "expected", "noted"),
    [
        (["1,234", "950"], {}, [1234, 950], True),
        (["1,234", "950"], {"thousands": ","}, [1234, 950], False),
        (["1.234", "950"], {"decimal": ","}, [1234, 950], True),
        (["1.234", "950"], {"decimal": "."}, [1.234, 950], True),
        (["1,234", "0.99"], {}, [1234, 0.99], False),
        (["1.234", "0.125"], {}, [1.234, 0.125], False),
        (["1.234", "0.99"], {}, [1.234, 0.99], True),
        (["1.234", "0.5"], {}, [1.234, 0.5], False),  # a program that cuts zeros
        (["1.234 KWD", "5.500 KWD"], {}, [1.234, 5.5], False),
        (["¥1,234", "¥950"], {}, [1234, 950], False),
    ],
)
def test_ambiguous_numbers_follow_the_mapping_with_a_note(
    values: list[str], mapping: dict, expected: list[float], noted: bool
) -> None:
    found = _parse(values, **mapping)
    assert found.values.tolist() == expected
    assert bool(found.notes) == noted


@pytest.mark.parametrize("prices", [["3.99", "0.50"], ["3", "4"]])
def test_quantity_with_three_decimals_follows_the_notation_of_the_prices(prices: list[str]) -> None:
    column = build_column(["1.250", "2.375"], price=prices)
    columns = {
        "customer_id": "id",
        "event_timestamp": "when",
        "amount": None,
        "quantity": "value",
        "unit_price": "price",
    }
    if prices == ["3", "4"]:
        with pytest.raises(IngestError, match="does not show"):
            parse_numbers(column, "quantity", build_mapping(columns=columns))
    else:
        found = parse_numbers(column, "quantity", build_mapping(columns=columns))
        assert found.values.tolist() == [1.25, 2.375]


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("small", ["", "12"])
def test_quantities_all_above_a_thousand_are_noted(decimal: str, small: str) -> None:
    """An export of 1,000 of each piece may as well have three decimals."""
    mark = "," if decimal == "." else "."
    values = [f"1{mark}000", f"2{mark}000", small or f"3{mark}000"]
    columns = {"customer_id": "id", "event_timestamp": "when", "quantity": "value", "unit_price": "price"}
    column = build_column(values, price=[f"3{decimal}99"] * 3)
    found = parse_numbers(column, "quantity", build_mapping(columns={**columns, "amount": None}, decimal=decimal))
    assert found.values.tolist() == [1000, 2000, 12 if small else 3000]
    assert bool(found.notes) == (not small)


def test_minority_in_the_other_notation_is_quarantined_with_its_sum() -> None:
    found = _parse([*COMMA * 3, "12.50", "1.5", "1.234"], decimal=",")
    assert found.values.isna().tolist() == [False] * 9 + [True] * 3
    assert any("add up to 14.00" in note for note in found.notes)


def test_thousands_of_another_character_than_the_mapping_are_quarantined() -> None:
    assert _last([*POINT, "1'234.50"], thousands=",") == "amount has another separator of thousands than the column"
    assert _last([*POINT, "1'234.50"], thousands="'") == 1234.5
    assert str(_last([*POINT, *["1 234.50"] * 3, "1,234"])).endswith("separator of thousands than the column")


def test_indian_and_western_grouping_in_one_column_quarantines_the_rarer() -> None:
    found = _parse(["12,34,567.00", "1,00,000.00", "1,234,567.00"])
    assert found.values.tolist()[:2] == [1234567, 100000]
    assert np.isnan(found.values[2])


def test_few_rows_of_several_currencies_are_quarantined() -> None:
    found = _parse(["5.00"] * 8 + ["$5.00", "€5.00"])
    assert found.values.isna().tolist() == [False] * 8 + [True] * 2
    assert any("USD (1 row)" in note for note in found.notes)


@pytest.mark.parametrize(
    ("values", "currencies", "rule", "expected", "reason"),
    [
        (["$5", "€6"], None, {"only": "EUR"}, [5, 6], "amount is not in EUR"),
        (["$5", "€6"], None, {"rates": {"EUR": 1, "USD": 0.5}}, [2.5, 6], None),
        (["5", "6"], ["USD", "eur"], {"only": "EUR"}, [5, 6], "amount is not in EUR"),
        (["5", "6"], ["USD", "EUR"], {"rates": {"EUR": 1}}, [None, 6], "currency has no rate in the mapping"),
        (["5", "6"], ["", "EUR"], {"only": "EUR"}, [None, 6], "currency is missing"),
        (["5", "6"], ["", "EUR"], {"only": "EUR", "default": "EUR"}, [5, 6], None),
        (
            ["$5", "6"],
            ["EUR", "EUR"],
            {"only": "EUR"},
            [None, 6],
            "amount has another currency than the currency column",
        ),
        (["5", "6"], ["gold", "EUR"], {"only": "EUR"}, [None, 6], "currency is not an ISO 4217 code"),
    ],
)
def test_currency_rule_sets_aside_or_converts(
    values: list[str], currencies: list[str] | None, rule: dict, expected: list, reason: str | None
) -> None:
    extra = {"currencies": currencies, "columns": {"currency": "currency"}} if currencies else {}
    found = _parse(values, currency=rule, **extra)
    assert [None if np.isnan(value) else value for value in found.values] == expected
    assert [issue.reason for issue in found.issues if issue.rows[0]][:1] == ([reason] if reason else [])
    assert all(issue.counted == ("is not in" not in issue.reason) for issue in found.issues)


@pytest.mark.parametrize(("values", "decimal"), [(["¥1.234", "¥5"], "."), (["¥1,234", "¥5"], ",")])
def test_amounts_of_a_currency_without_decimals_have_no_decimals(values: list[str], decimal: str) -> None:
    other = "," if decimal == "." else "."
    with pytest.raises(IngestError, match=f"without decimals.*`decimal: '{other}'`"):
        _parse(values, decimal=decimal)
    assert _parse(values, decimal=other).values.tolist() == [1234, 5]


def test_minor_units_follow_the_currency() -> None:
    currencies = ["USD", "JPY", "KWD", ""]
    found = _parse(
        ["1999", "1999", "1999", "1999"],
        currencies=currencies,
        columns={"currency": "currency"},
        currency={"rates": dict.fromkeys(["USD", "JPY", "KWD"], 1), "default": "USD"},
        minor_units=True,
    )
    assert found.values.tolist() == [19.99, 1999, 1.999, 19.99]
    assert _parse(["1999", "-5", "7"], minor_units=True).values.tolist() == [19.99, -0.05, 0.07]


@pytest.mark.parametrize(
    ("values", "currencies", "currency", "expected"),
    [
        (["$5", "$6", "7"], ["CAD", "CAD", "CAD"], None, [5, 6, 7]),
        (["5 kr", "6 kr", "7 kr"], ["DKK", "SEK", "DKK"], {"rates": {"DKK": 1, "SEK": 0.5}}, [5, 3, 7]),
        (["$5", "$6", "US$7"], None, None, [5, 6, 7]),
        (["$5", "C$6"], None, {"rates": {"USD": 1, "CAD": 0.5}}, [5, 3]),
        (["$5.00 CAD", "$6.00 CAD"], None, {"only": "CAD"}, [5, 6]),
    ],
)
def test_symbol_of_several_currencies_stands_for_the_one_beside_it(
    values: list[str], currencies: list[str] | None, currency: Any, expected: list[float]
) -> None:
    extra = {"currencies": currencies, "columns": {"currency": "currency"}} if currencies else {}
    found = _parse(values, currency=currency, **extra)
    assert found.values.tolist() == expected
    assert not [issue for issue in found.issues if issue.rows[0]]


def test_symbol_with_a_country_is_no_other_currency() -> None:
    found = _parse(["$5", "US$6"], currency={"only": "CAD"})
    assert [(issue.reason, issue.rows.tolist()) for issue in found.issues] == [("amount is not in CAD", [False, True])]


def test_amounts_in_another_currency_than_the_column_of_currencies_are_no_amounts() -> None:
    found = _parse(["$5", "6", "7"], currencies=["EUR"] * 3, columns={"currency": "currency"})
    assert found.values.isna().tolist() == [True, False, False]
    assert "another currency" in found.notes[0]
    with pytest.raises(IngestError, match="another currency than the column of currencies"):
        _parse(["$5", "$6", "7"], currencies=["EUR"] * 3)


def test_minor_units_follow_a_column_of_currencies_without_a_mapping() -> None:
    assert _parse(["500", "600"], currencies=["JPY", "JPY"], minor_units=True).values.tolist() == [500, 600]


def test_cent_sign_is_no_whole_unit() -> None:
    assert _last([*POINT, "50¢"]) == "amount is not a number"


def test_credit_sign_gives_marked_amounts_their_sign() -> None:
    values = ["5.00 CR", "6.00 DR", "7.00"]
    assert _parse(values, credit_sign="negative").values.tolist() == [-5, 6, 7]
    assert _parse(values, credit_sign="positive").values.tolist() == [5, -6, 7]


def test_source_with_a_column_of_several_currencies_is_refused(checked: Any) -> None:
    text = "id,when,amount,Currency\n1,2025-01-01,5,USD\n2,2025-01-01,6,EUR\n"
    with pytest.raises(IngestError, match=r"several currencies.*currency: \{only: USD\}"):
        checked(text)
    columns = {"customer_id": "id", "event_timestamp": "when", "amount": "amount", "currency": "Currency"}
    result = checked(text, columns=columns, currency={"only": "EUR"}, max_bad_share=0)
    assert result.rows["amount"].tolist() == [6.0]
    assert checked(text.replace("USD", "EUR")).rows["amount"].tolist() == [5.0, 6.0]


_places = st.integers(0, 3)
_numbers = st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=12)
_dress = st.fixed_dictionaries(
    {
        "thousands": st.sampled_from(["", "other", " ", "\u00a0", "\u202f", "\u2009", "'", "’", "indian"]),
        "negative": st.sampled_from(["-{}", "−{}", "{}-", "({})"]),
        "currency": st.sampled_from(["{}", "${}", "{} €", "EUR {}", "R$ {}", "{}\u00a0kr"]),
    }
)


def _write(number: int, places: int, decimal: str, dress: dict[str, str]) -> tuple[str, float]:
    """Write an amount of a whole number of its smallest unit."""
    value = Decimal(number).scaleb(-places)
    whole, _, fraction = f"{abs(value):f}".partition(".")
    thousands = dress["thousands"]
    if thousands == "indian":
        head, tail = whole[:-3], whole[-3:]
        pairs = [head[max(end - 2, 0) : end] for end in range(len(head), 0, -2)][::-1]
        whole = ",".join([*pairs, tail]) if decimal == "." else whole
    elif thousands:
        whole = f"{int(whole):,}".replace(",", {",": ".", ".": ","}[decimal] if thousands == "other" else thousands)
    text = dress["currency"].format(whole + (decimal + fraction if fraction else ""))
    return dress["negative"].format(text) if value < 0 else text, float(value)


def _wrong(found: ParsedColumn, expected: list[float]) -> list[bool]:
    return [not np.isnan(value) and value != right for value, right in zip(found.values, expected, strict=True)]


@given(_numbers, _places, st.sampled_from([".", ","]), _dress)
@settings(max_examples=100, deadline=None)
def test_numbers_written_as_the_mapping_gives_are_read(
    numbers: list[int], places: int, decimal: str, dress: dict[str, str]
) -> None:
    written = [_write(number, places, decimal, dress) for number in numbers]
    found = _parse([text for text, _ in written], decimal=decimal)
    assert found.values.tolist() == [value for _, value in written]


@given(_numbers, _places, st.sampled_from([".", ","]), _dress)
@settings(max_examples=100, deadline=None)
def test_numbers_written_in_another_notation_are_never_another_value_in_silence(
    numbers: list[int], places: int, decimal: str, dress: dict[str, str]
) -> None:
    written = [_write(number, places, decimal, dress) for number in numbers]
    try:
        found = _parse([text for text, _ in written], decimal="," if decimal == "." else ".")
    except IngestError:
        return
    assert found.notes or not any(_wrong(found, [value for _, value in written]))


@given(_numbers, _numbers, _places, _dress)
@settings(max_examples=100, deadline=None)
def test_column_of_two_notations_has_no_other_value_in_silence(
    first: list[int], second: list[int], places: int, dress: dict[str, str]
) -> None:
    dress = dress | {"currency": "{}"}
    written = [_write(number, places, ".", dress) for number in [*first, 99, 1501]]
    written += [_write(number, 2, ",", dress) for number in [*second, 99]]
    try:
        found = _parse([text for text, _ in written])
    except IngestError:
        return
    assert found.notes or not any(_wrong(found, [value for _, value in written]))
