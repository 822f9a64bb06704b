"""First look at relations between columns: sums and rates of money, ids and addresses, steps of one payment, files."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from holdfast.inspection.inspection import Inspection, inspect_source

ROWS = 120


def look(path: Path, header: str, rows: list[str], encoding: str = "utf-8", **given: object) -> Inspection:
    path.write_text("\n".join([header, *rows, ""]), encoding=encoding)
    return inspect_source(path, {key.replace("__", "."): value for key, value in given.items()}, 90, 30)


def decided(inspection: Inspection) -> dict[str, object]:
    return {decision.key: decision.value for decision in inspection.proposal.decisions}


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(number)


def money(number: int) -> float:
    return 12.4 + number * 7 % 50


# Header of the columns of money, the values of a row, and the column that the customer pays.
MONEY: dict[str, tuple[str, Callable[[int], list[float]], str]] = {
    "tax": ("netto,ust,brutto", lambda i: [money(i), round(money(i) * 0.19, 2), money(i) * 1.19], "brutto"),
    "one rate of tax, not named": ("Betrag netto,Betrag brutto", lambda i: [money(i), money(i) * 1.2], "Betrag brutto"),
    "discount": ("Gross Sales,Discounts,Net Sales", lambda i: [money(i), i % 3 and -2.5, money(i) - 2.5 * (i % 3 > 0)],
                 "Net Sales"),
    "discount in Turkish": ("Satış Tutarı,İndirim Tutarı,Net Tutar",
                            lambda i: [money(i), 2.5 * (i % 4 == 0), money(i) - 2.5 * (i % 4 == 0)], "Net Tutar"),
    "discount and shipping": ("Order Value,Discount,Shipping,Order Total",
                              lambda i: [money(i), i % 3 * 3, i % 2 * 4.9, money(i) - i % 3 * 3 + i % 2 * 4.9],
                              "Order Total"),
    "fee per row": ("amount,settlement amount", lambda i: [money(i), money(i) - 0.29], "amount"),
    "paid or not": ("Total,Amount Paid", lambda i: [money(i), money(i) * (i % 12 > 0)], "Amount Paid"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MONEY)
def test_inspect_source_related_amounts_leave_what_the_customer_pays(tmp_path: Path, kind: str) -> None:
    header, values, paid = MONEY[kind]
    rows = [f"c{i % 9},{day(i)},{','.join(f'{value:.2f}' for value in values(i))}" for i in range(ROWS)]
    found = look(tmp_path / "a.csv", f"customer,date,{header}", rows)
    assert (found.is_sure, decided(found)["columns.amount"]) == (True, paid)


def test_inspect_source_total_that_is_a_price_of_one_piece_is_multiplied(tmp_path: Path) -> None:
    rows = [
        f"c{i % 9},{day(i)},tea {i % 5},{1 + i % 3},{5 + i % 5}.00,{(5 + i % 5) * 1.19:.2f}" for i in range(2 * ROWS)
    ]
    found = look(tmp_path / "a.csv", "customer,date,article,quantity,sales net,sales gross", rows)
    assert found.is_sure
    assert decided(found)["columns.unit_price"] == "sales gross"
    assert "columns.amount" not in decided(found)


def test_inspect_source_discount_of_an_order_takes_its_total(tmp_path: Path) -> None:
    orders = [(i // 2, 5 + i // 2 % 7, i // 2 % 4) for i in range(ROWS)]
    rows = [
        f"o{n},c{n % 9},{day(n)},2,{price + i % 2}.00,{4 * price + 2}.00,{less}.00,{4 * price + 2 - less}.00"
        for i, (n, price, less) in enumerate(orders)
    ]
    found = look(tmp_path / "a.csv", "order,customer,date,quantity,price,subtotal,discount,total", rows)
    assert found.is_sure
    assert (decided(found)["columns.amount"], decided(found)["one_row_per"]) == ("total", "order")


@pytest.mark.parametrize("missing", ["", "0", "\\N", "guest"])
def test_inspect_source_address_that_fills_gaps_of_the_id_is_the_customer(tmp_path: Path, missing: str) -> None:
    rows = [f"{missing if i % 4 == 0 else 100 + i % 12},p{i % 12}@x.org,{day(i)},{money(i)}" for i in range(ROWS)]
    found = look(tmp_path / "a.csv", "customer_id,customer_email,date,total", rows)
    assert (found.is_sure, decided(found)["columns.customer_id"]) == (True, "customer_email")


def test_inspect_source_name_of_several_numbers_is_not_the_customer(tmp_path: Path) -> None:
    rows = [f"{('Weber', 'Kaya', 'Nowak')[i % 3]} GmbH,{70000 + i % 12},{day(i)},{money(i)}" for i in range(ROWS)]
    found = look(tmp_path / "a.csv", "Kunde,Debitor,Datum,Betrag", rows)
    assert (found.is_sure, decided(found)["columns.customer_id"]) == (True, "Debitor")


def test_inspect_source_own_address_is_not_the_customer(tmp_path: Path) -> None:
    rows = [f"shop@x.org,p{i % 12}@x.org,{day(i)},{money(i)}" for i in range(ROWS - 6)]
    rows += [f"p{i}@x.org,shop@x.org,{day(i)},{money(i)}" for i in range(6)]
    found = look(tmp_path / "a.csv", "To Email,From Email,date,gross", rows)
    assert decided(found)["columns.customer_id"] == "From Email"


@pytest.mark.parametrize(
    ("write", "form"),
    [
        (lambda n, wide: "".join(chr(ord(c) + 0xFEE0) for c in f"A{n}") if wide else f"A{n}", {"unicode": "NFKC"}),
        (lambda n, wide: f"Jose\u0301 {n}" if wide else f"Jos\u00e9 {n}", {"unicode": "NFC"}),
        (lambda n, wide: f"P{n}@x.org" if wide else f"p{n}@x.org", {"case": "lower"}),
    ],
)
def test_inspect_source_ids_of_two_writings_are_one_customer(
    tmp_path: Path, write: Callable[[int, bool], str], form: dict[str, str]
) -> None:
    rows = [f"{write(i % 12, i % 5 == 0)},{day(i)},{money(i)}" for i in range(ROWS)]
    found = look(tmp_path / "a.csv", "customer,date,total", rows)
    assert (found.is_sure, decided(found)["customer_id_form"]) == (True, form)
    assert found.preview is not None
    assert found.preview.transactions["customer_id"].nunique() == 12


@pytest.mark.parametrize(
    ("write", "value"),
    [
        (lambda m: f"{m % 12 + 1}/1/{2023 + m // 12}", "%m/%d/%Y"),
        (lambda m: f"01.{m % 12 + 1:02}.{2017 + m // 12}", "%d.%m.%Y"),
        (lambda m: date(2023 + m // 12, m % 12 + 1, 1).strftime("%b-%y"), "%b-%y"),
        (lambda m: f"{2023 + m // 12}-{m % 12 + 1:02}", "%Y-%m"),
        (lambda m: f"{m % 12 + 1:02}/{2023 + m // 12}", "%m/%Y"),
        (lambda m: f"{2023 + m // 12}年{m % 12 + 1:02}月", "%Y年%m月"),
        (lambda m: f"{2023 + m // 12}{m % 12 + 1:02}", "%Y%m"),
    ],
)
def test_inspect_source_months_are_their_first_day(tmp_path: Path, write: Callable[[int], str], value: str) -> None:
    rows = [f"m{i % 10},{write(i // 10)},{money(i)}" for i in range(100, 0, -1)]
    found = look(tmp_path / "a.csv", "member,month,fee", rows)
    assert (found.is_sure, decided(found)["timestamp_format"]) == (True, value)
    assert found.preview is not None
    assert set(found.preview.transactions["event_timestamp"].dt.day) == {1}


@pytest.mark.parametrize("name", ["sales-2023-{:02}.csv", "2023{:02}_sales.csv", "sales {:02}.2023.csv"])
def test_inspect_source_date_in_the_names_of_files_is_the_time(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for month in range(1, 7):
        rows = [f"c{i},{month + i}.90" for i in range(10)]
        (folder / name.format(month)).write_text("\n".join(["customer,amount", *rows, ""]))
    found = inspect_source(folder, {}, 90, 30)
    assert found.is_sure
    assert found.preview is not None
    assert sorted(set(found.preview.transactions["event_timestamp"].dt.month)) == [1, 2, 3, 4, 5, 6]
    assert len(found.preview.transactions) == 60


def test_inspect_source_steps_of_one_payment_offer_the_last_one(tmp_path: Path) -> None:
    steps = ("Received", "Authorised", "Settled")
    rows = [f"p{i // 3},c{i // 3 % 9},{day(i // 3)},{money(i // 3)},{steps[i % 3]}" for i in range(ROWS)]
    (question,) = look(tmp_path / "a.csv", "psp,shopper,date,amount,record type", rows).proposal.questions
    assert question.answers[0].keys == {"where.record type": ["Settled"]}


@pytest.mark.parametrize(
    ("kinds", "returns"),
    [(("Invoice", "Credit note"), "Credit note"), (("Rechnung", "Gutschrift"), "Gutschrift"), (("SI", "SC"), "SC"),
     (("Autorización", "Devolución"), "Devolución")],
)  # fmt: skip
def test_inspect_source_returns_above_zero_are_cancellations(
    tmp_path: Path, kinds: tuple[str, str], returns: str
) -> None:
    rows = [f"c{i % 9},{day(i)},{money(i)},{kinds[i % 20 == 7]}" for i in range(ROWS)]
    found = look(tmp_path / "a.csv", "customer,date,amount,type", rows)
    assert (found.is_sure, decided(found)["cancellation"]) == (True, {"column": "type", "is": [returns]})


def test_inspect_source_payments_beside_invoices_are_no_purchases(tmp_path: Path) -> None:
    rows = [f"c{i % 9},{day(i)},{money(i) * (1 - i % 2 * 2)},{('Invoice', 'Payment')[i % 2]}" for i in range(ROWS)]
    found = look(tmp_path / "a.csv", "customer,date,amount,type", rows)
    assert found.is_sure
    assert decided(found)["where.type"] == ["Invoice"]


def test_inspect_source_refunds_below_the_amount_are_read_beside_it(tmp_path: Path) -> None:
    rows = [f"c{i % 9},{day(i)},{money(i)},{money(i) if i % 20 == 7 else 0:.2f},{('paid', 'refunded')[i % 20 == 7]}"
            for i in range(ROWS)]  # fmt: skip
    found = look(tmp_path / "a.csv", "customer,date,amount,amount refunded,status", rows)
    assert (found.is_sure, decided(found)["refund"]) == (True, "amount refunded")
    assert found.preview is not None
    assert (found.preview.transactions["amount"] < 0).sum() == ROWS // 20


@pytest.mark.parametrize(
    ("header", "yes", "no"), [("Makulerad", "Ja", "Nej"), ("取消区分", "1", "0"), ("iptal", "true", "false")]
)
def test_inspect_source_flag_of_cancellation_leaves_rows_out(tmp_path: Path, header: str, yes: str, no: str) -> None:
    rows = [f"c{i % 9},{day(i)},{money(i)},{yes if i % 20 == 7 else no}" for i in range(ROWS)]
    found = look(tmp_path / "a.csv", f"customer,date,amount,{header}", rows)
    assert (found.is_sure, decided(found)[f"where_not.{header}"]) == (True, [yes])


@pytest.mark.parametrize(("header", "text"), [("total", "{:,}"), ("売上金額", "¥{:,}"), ("결제금액", "{:,}")])
def test_inspect_source_sign_before_three_digits_groups_thousands(tmp_path: Path, header: str, text: str) -> None:
    rows = [f'c{i % 9},{day(i)},"{text.format(400 + i * 97)}"' for i in range(ROWS)]
    found = look(tmp_path / "a.csv", f"customer,date,{header}", rows)
    assert found.is_sure
    assert found.preview is not None
    assert found.preview.transactions["amount"].max() == 400 + 119 * 97


@pytest.mark.parametrize(
    ("encoding", "header", "name"),
    [
        ("cp1254", "Cari Ünvanı,Tarih,Tutar", "İpek Ltd. Ş."),
        ("gb18030", "客户,日期,金额", "小明"),
        ("cp932", "顧客,日付,金額", "山田"),
    ],
)  # fmt: skip
def test_inspect_source_names_of_columns_show_the_encoding(
    tmp_path: Path, encoding: str, header: str, name: str
) -> None:
    rows = [f"{name} {i % 9},{day(i)},{money(i)}" for i in range(ROWS)]
    found = look(tmp_path / "a.csv", header, rows, encoding)
    assert (found.is_sure, decided(found)["encoding"]) == (True, encoding)
