"""First look at shapes of exports: statements, cents, dates without separators, prices of lines, fees, states."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from holdfast.ingestion.mapping_file import load_mapping
from holdfast.inspection.column_names import split_name
from holdfast.inspection.inspection import Inspection, inspect_source
from holdfast.inspection.mapping_writer import render_mapping, write_mapping


def look(path: Path, header: str, rows: list[str], **given: object) -> Inspection:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return inspect_source(path, {key.replace("__", "."): value for key, value in given.items()}, 90, 30)


def decided(inspection: Inspection) -> dict[str, object]:
    return {decision.key: decision.value for decision in inspection.proposal.decisions}


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(number)


@pytest.mark.parametrize(
    ("credit", "debit", "sign", "amount"),
    [
        ("Paid in", "Paid out", "", {"add": ["Paid in"], "subtract": ["Paid out"]}),
        ("Haben", "Soll", "", {"add": ["Haben"], "subtract": ["Soll"]}),
        ("Crédit", "Débit", "-", {"add": ["Crédit", "Débit"]}),
    ],
)
def test_inspect_source_columns_of_credit_and_debit_are_one_amount(
    tmp_path: Path, credit: str, debit: str, sign: str, amount: object
) -> None:
    rows = [
        f"c{i % 9},{day(i)},{'' if i % 6 == 5 else f'{i + 1}.50'},{f'{sign}9.25' if i % 6 == 5 else ''}"
        for i in range(60)
    ]
    found = look(tmp_path / "a.csv", f"client,date,{credit},{debit}", rows)
    assert found.is_sure
    assert decided(found)["columns.amount"] == amount
    assert found.preview is not None
    assert sorted(found.preview.transactions["amount"])[:11] == [-9.25] * 10 + [1.5]


def test_inspect_source_statement_of_debits_asks_which_are_purchases(tmp_path: Path) -> None:
    rows = [f"c{i % 9},{day(i)},{'' if i % 6 else '7.00'},{f'{i + 1}.50' if i % 6 else ''}" for i in range(60)]
    (question,) = look(tmp_path / "a.csv", "merchant_account,date,credit,debit", rows).proposal.questions
    assert "purchases" in question.text
    assert look(tmp_path / "a.csv", "merchant_account,date,credit,debit", rows, **question.answers[0].keys).is_sure


def test_inspect_source_given_sum_of_columns_is_read(tmp_path: Path) -> None:
    rows = [f"c{i % 9},{day(i)},{i}.50,2.00" for i in range(40)]
    amount = {"add": ["price", "shipping"]}
    found = look(tmp_path / "a.csv", "customer,date,price,shipping", rows, columns__amount=amount)
    assert found.is_sure
    assert found.preview is not None
    assert found.preview.transactions["amount"].iloc[3] == 5.5


def test_inspect_source_given_date_and_time_of_day_are_read(tmp_path: Path) -> None:
    rows = [f"c{i % 9},{day(i):%d/%m/%Y},08:{i:02d},{i}.50" for i in range(40)]
    found = look(tmp_path / "a.csv", "customer,date,time,price", rows, columns__event_timestamp=["date", "time"])
    assert found.is_sure
    assert decided(found)["timestamp_format"] == "%d/%m/%Y %H:%M"


def test_inspect_source_whole_numbers_named_cents_are_minor_units(tmp_path: Path) -> None:
    found = look(tmp_path / "a.csv", "user,date,amount_cents", [f"u{i % 7},{day(i)},{i}99" for i in range(40)])
    assert found.is_sure
    assert found.preview is not None
    assert found.preview.transactions["amount"].iloc[2] == 2.99


def test_inspect_source_days_without_separators_and_without_a_name_are_the_time(tmp_path: Path) -> None:
    rows = [f"{100000 + i % 9},{day(i):%Y%m%d},{i}.50" for i in range(60)]
    found = look(tmp_path / "a.csv", "KUNAG,FKDAT,NETWR", rows)
    assert found.is_sure
    assert decided(found)["columns.event_timestamp"] == "FKDAT"
    assert decided(found)["columns.customer_id"] == "KUNAG"


def test_inspect_source_ids_that_look_like_days_in_part_stay_ids(tmp_path: Path) -> None:
    rows = [f"{20230100 + i % 60},{day(i):%d.%m.%Y},{i}.50" for i in range(120)]
    assert decided(look(tmp_path / "a.csv", "number,bought,total", rows))["columns.customer_id"] == "number"


def test_inspect_source_price_that_grows_with_the_quantity_asks(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{day(i)},{1 + i % 5},{(1 + i % 5) * (3 + i % 7)}.00" for i in range(120)]
    (question,) = look(tmp_path / "a.csv", "buyer,date,quantity,price", rows).proposal.questions
    assert [set(answer.keys) for answer in question.answers] == [
        {"columns.amount", "columns.quantity"},
        {"columns.quantity", "columns.unit_price"},
    ]


def test_inspect_source_price_of_each_product_is_a_unit_price(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{day(i)},p{i % 5},{1 + i % 5},{2 + i % 5}.00" for i in range(120)]
    found = look(tmp_path / "a.csv", "buyer,date,product,quantity,price", rows)
    assert decided(found)["columns.unit_price"] == "price"


def test_inspect_source_fee_of_the_seller_is_not_subtracted(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,-0.25,{i}.75" for i in range(60)]
    assert decided(look(tmp_path / "a.csv", "buyer,date,gross,fee,net", rows))["columns.amount"] == "gross"


@pytest.mark.parametrize("status", ["Canceled", "Payment Due", "no-show", "Storniert"])
def test_inspect_source_rare_status_without_a_sale_asks(tmp_path: Path, status: str) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{status if i % 10 == 3 else 'served'}" for i in range(60)]
    (question,) = look(tmp_path / "a.csv", "guest,date,total,status", rows).proposal.questions
    assert question.answers[0].keys == {"where.status": ["served"]}


def test_inspect_source_returns_with_amounts_below_zero_need_no_question(tmp_path: Path) -> None:
    rows = [
        f"c{i % 11},{day(i)},{'-' if i % 10 == 3 else ''}{i + 1}.00,{'Payment Refund' if i % 10 == 3 else 'Sale'}"
        for i in range(60)
    ]
    assert look(tmp_path / "a.csv", "buyer,date,total,type", rows).is_sure


def test_inspect_source_credit_notes_with_amounts_above_zero_are_offered_as_returns(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{'Credit Note' if i % 10 == 3 else 'Invoice'}" for i in range(60)]
    (question,) = look(tmp_path / "a.csv", "client,date,total,document", rows).proposal.questions
    assert question.answers[0].keys["cancellation"] == {"column": "document", "is": ["Credit Note"]}


def test_inspect_source_without_money_offers_a_count(tmp_path: Path) -> None:
    found = look(tmp_path / "a.csv", "member_no,visit", [f"{i % 9},{day(i)}" for i in range(40)])
    (question,) = found.proposal.questions
    assert question.answers[-1].keys == {"columns.amount": {"constant": 1}}
    assert look(
        found.path, "member_no,visit", [f"{i % 9},{day(i)}" for i in range(40)], **question.answers[-1].keys
    ).is_sure


def test_inspect_source_degree_sign_in_the_header_is_western(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"F{i};{day(i)};K{i % 7};{i},50" for i in range(40)]
    path.write_bytes("\n".join(["N° facture;Date;Client;Montant réglé", *rows, ""]).encode("cp1252"))
    assert decided(inspect_source(path, {}, 90, 30))["encoding"] == "cp1252"


@pytest.mark.parametrize(
    ("name", "support", "kind"),
    [
        ("Card Processing Fees", -1, "none"),
        ("Kontonummer/IBAN", 3, "none"),
        ("Order Total (inc tax)", -1, "total"),
        ("Amount Paid", -1, "total"),
        ("Amount Due", -1, "none"),
        ("Sales Record Number", 0, "none"),
    ],
)
def test_support_of_a_column_name(name: str, support: int, kind: str) -> None:
    assert (split_name(name).customer_support, split_name(name).amount_class) == (support, kind)


@pytest.mark.parametrize(("name", "value"), [("is_cancelled", "true"), ("VoidFlag", "Y")])
def test_inspect_source_flag_of_a_cancelled_row_leaves_it_out(tmp_path: Path, name: str, value: str) -> None:
    other = {"true": "false", "Y": "N"}[value]
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{value if i % 10 == 3 else other}" for i in range(60)]
    found = look(tmp_path / "a.csv", f"client,date,total,{name}", rows)
    assert found.proposal.content["where_not"] == {name: [value]}
    assert found.preview is not None
    assert len(found.preview.transactions) == 54


@pytest.mark.parametrize(("name", "value", "sign"), [("Refund", "Yes", ""), ("is_cancelled", "Yes", "-")])
def test_inspect_source_flag_of_a_possible_return_asks(tmp_path: Path, name: str, value: str, sign: str) -> None:
    rows = [f"c{i % 11},{day(i)},{sign * (i % 10 == 3)}{i + 1}.00,{'Yes' if i % 10 == 3 else 'No'}" for i in range(60)]
    (question,) = look(tmp_path / "a.csv", f"client,date,total,{name}", rows).proposal.questions
    assert question.answers[0].keys == {f"where_not.{name}": [value]}
    found = look(tmp_path / "a.csv", f"client,date,total,{name}", rows, **question.answers[0].keys)
    assert found.preview is not None
    assert len(found.preview.transactions) == 54


@pytest.mark.parametrize(("received", "paid"), [("C", "D"), ("Bij", "Af"), ("credit", "debit")])
def test_inspect_source_column_of_directions_offers_returns(tmp_path: Path, received: str, paid: str) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{paid if i % 10 == 3 else received}" for i in range(60)]
    (question,) = look(tmp_path / "a.csv", "client,date,total,direction", rows).proposal.questions
    assert question.answers[0].keys["cancellation"] == {"column": "direction", "is": [paid]}


def test_inspect_source_two_columns_of_status_need_an_answer_each(tmp_path: Path) -> None:
    states = [f"{'unpaid' if i % 9 == 1 else 'paid'},{'done' if i % 7 else 'open'}" for i in range(60)]
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{state}" for i, state in enumerate(states)]
    header = "client,date,total,status,payment status"
    first, second = look(tmp_path / "a.csv", header, rows).proposal.questions
    found = look(tmp_path / "a.csv", header, rows, **first.answers[0].keys)
    assert [question.text for question in found.proposal.questions] == [second.text]
    found = look(tmp_path / "a.csv", header, rows, **first.answers[0].keys, **second.answers[0].keys)
    assert found.is_sure
    assert set(found.proposal.content["where"]) == {"status", "payment status"}


@pytest.mark.parametrize(("discount", "rest"), [("10%", 0.9), ("0.25", 0.75)])
def test_inspect_source_discount_rate_of_a_product_asks(tmp_path: Path, discount: str, rest: float) -> None:
    rows = [f"c{i % 11},{day(i)},p{i % 5},{1 + i % 2},{2 + i % 5}.00,{discount}" for i in range(60)]
    header = "client,date,product,qty,price,discount"
    (question,) = look(tmp_path / "a.csv", header, rows).proposal.questions
    found = look(tmp_path / "a.csv", header, rows, **question.answers[0].keys)
    assert found.is_sure
    assert found.preview is not None
    assert found.preview.transactions["amount"].iloc[0] == pytest.approx(2 * rest)
    assert look(tmp_path / "a.csv", header, rows, **question.answers[1].keys).is_sure


def test_inspect_source_email_addresses_that_differ_in_case_are_one_customer(tmp_path: Path) -> None:
    rows = [f"{'A' if i % 4 else 'a'}{i % 5}@example.com,{day(i)},{i + 1}.00" for i in range(60)]
    found = look(tmp_path / "a.csv", "email,date,total", rows)
    assert found.is_sure
    assert found.preview is not None
    assert found.preview.transactions["customer_id"].nunique() == 5


@pytest.mark.parametrize(
    ("header", "encoding"), [("Дата;Клиент;Сумма", "cp1251"), ("Data;Kupujący;Wartość zł", "cp1250")]
)
def test_inspect_source_few_words_of_one_alphabet_decide_the_encoding(
    tmp_path: Path, header: str, encoding: str
) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{day(i):%d.%m.%Y};k{i % 7};{i},50" for i in range(40)]
    path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    assert decided(inspect_source(path, {}, 90, 30))["encoding"] == encoding


@pytest.mark.parametrize(
    ("name", "states", "bought"),
    [
        ("Estado", ("Cobrada", "Anulada"), ["Cobrada"]),
        ("payment_status", ("captured", "failed"), ["captured"]),
        ("Stage", ("Closed Won", "Negotiation"), ["Closed Won"]),
        ("event", ("purchase", "view_item"), ["purchase"]),
        ("a.status", ("paid", "voided"), ["paid"]),
    ],
)
def test_inspect_source_known_states_without_a_purchase_are_left_out(
    tmp_path: Path, name: str, states: tuple[str, str], bought: list[str]
) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{states[i % 10 == 3]}" for i in range(60)]
    found = look(tmp_path / "a.csv", f"client,date,total,{name}", rows)
    assert found.proposal.content["where"] == {name: bought}
    target = tmp_path / "a.yaml"
    write_mapping(render_mapping(found.proposal, "a.csv"), target, overwrite=False)
    assert load_mapping(target).where == found.proposal.build_mapping().where  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "states"),
    [("Status", ("Klaar", "Bezig")), ("status", ("paid", "pending")), ("Status", ("Paid", "Not Paid"))],
)
def test_inspect_source_states_with_two_readings_ask(tmp_path: Path, name: str, states: tuple[str, str]) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{states[i % 10 == 3]}" for i in range(60)]
    found = look(tmp_path / "a.csv", f"client,date,total,{name}", rows)
    assert found.is_sure == (states[1] == "Not Paid")


def test_inspect_source_status_of_each_customer_is_no_status_of_rows(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{('gold', 'silver')[i % 11 > 5]}" for i in range(60)]
    assert look(tmp_path / "a.csv", "client,date,total,status", rows).is_sure


@pytest.mark.parametrize(("name", "values"), [("Payment method", "Credit Card,Invoice"), ("Card type", "credit,debit")])
def test_inspect_source_means_of_payment_are_no_kinds_of_rows(tmp_path: Path, name: str, values: str) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,{values.split(',')[i % 2]}" for i in range(60)]
    assert look(tmp_path / "a.csv", f"client,date,total,{name}", rows).is_sure


@pytest.mark.parametrize("terms", [(14,), (14, 30)])
def test_inspect_source_date_after_a_fixed_term_is_not_the_purchase(tmp_path: Path, terms: tuple[int, ...]) -> None:
    rows = [f"c{i % 11},{day(i + terms[i % len(terms)])},{day(i)},{i + 1}.00" for i in range(60)]
    found = look(tmp_path / "a.csv", "client,until,on,total", rows)
    assert found.is_sure
    assert decided(found)["columns.event_timestamp"] == "on"


def test_inspect_source_price_of_several_pieces_is_that_of_the_row(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{day(i)},p{i % 5},{1 + i % 3},{(1 + i % 3) * (2 + i % 5)}.00" for i in range(120)]
    found = look(tmp_path / "a.csv", "buyer,date,product,quantity,price", rows)
    assert found.is_sure
    assert decided(found)["columns.amount"] == "price"


def test_inspect_source_quantity_of_another_sign_is_left_out(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{day(i)},{-1 if i % 10 == 3 else 1}{i},1" for i in range(60)]
    found = look(tmp_path / "a.csv", "buyer,date,total,quantity", rows)
    assert "columns.quantity" not in decided(found)
    assert found.preview is not None and not found.preview.quarantined


def test_inspect_source_zone_in_a_column_is_the_time_zone(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.00,Europe/Paris" for i in range(60)]
    assert decided(look(tmp_path / "a.csv", "buyer,date,total,TimeZone", rows))["time_zone"] == "Europe/Paris"


@pytest.mark.parametrize("header", ["会員ID,注文日時,小計", "Клиент,Дата,Сумма", "Login kupującego,Data,Wartość"])
def test_inspect_source_names_in_other_scripts_are_known(tmp_path: Path, header: str) -> None:
    rows = [f"c{i % 11},{day(i)},{i + 1}.50,{i % 7}x" for i in range(60)]
    assert look(tmp_path / "a.csv", f"{header},x", rows).is_sure


def test_inspect_source_milliseconds_without_a_name_are_the_time(tmp_path: Path) -> None:
    rows = [f"c{i % 11},{1_700_000_000_000 + i * 86_400_123},{i + 1}.50" for i in range(60)]
    assert decided(look(tmp_path / "a.csv", "client,m,total", rows))["columns.event_timestamp"] == "m"


def test_inspect_source_blanks_without_a_header_name_the_columns(tmp_path: Path) -> None:
    rows = [f"{i % 11 + 100} {day(i):%Y%m%d} {i + 1}.50" for i in range(60)]
    assert decided(look(tmp_path / "a.txt", rows[0], rows[1:]))["column_names"] == ["column 1", "column 2", "column 3"]
