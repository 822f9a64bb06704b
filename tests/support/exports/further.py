"""Exports of further systems, written after the first look was made for the others."""

from decimal import Decimal

import numpy as np
import pandas as pd

from tests.support.exports.history import (
    PEOPLE,
    PRODUCTS,
    Export,
    make_lines,
    make_orders,
    make_table,
    money,
    pick,
    write_csv,
    write_parquet,
)
from tests.support.workbooks import write_xlsx


def bigcommerce(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    status = pick(rng, len(o), Completed=0.8, Shipped=0.1, Declined=0.05, Cancelled=0.05)
    columns = {
        "Order ID": o.order + 100,
        "Order Status": status,
        "Order Date": o.time.dt.strftime("%d/%m/%Y"),
        "Order Time": o.time.dt.strftime("%H:%M:%S"),
        "Subtotal (inc tax)": money(o.total),
        "Shipping Cost (inc tax)": "5.00",
        "Order Total (inc tax)": money(o.total + 5),
        "Customer ID": o.customer + 1,
        "Customer Name": [PEOPLE[c] for c in o.customer],
        "Payment Method": pick(rng, len(o), Credit_Card=0.5, PayPal=0.5),
    }
    is_sale = np.isin(status, ["Completed", "Shipped"])
    return write_csv("orders.csv", columns, make_table(o.customer + 1, o.time, o.total + 5, is_sale))


def squarespace(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    first = o["first"].to_numpy()
    email = np.where(first, [f"{PEOPLE[c].split()[0].lower()}{c}@example.com" for c in o.customer], "")
    columns = {
        "Order ID": [f"{i + 1:05d}" for i in o.order],
        "Email": email,
        "Financial Status": np.where(first, "PAID", ""),
        "Paid at": np.where(first, o.time.dt.strftime("%Y-%m-%d %H:%M:%S -0500"), ""),
        "Currency": np.where(first, "USD", ""),
        "Total": np.where(first, money(o.order_total), ""),
        "Lineitem quantity": o.quantity,
        "Lineitem name": [PRODUCTS[p] for p in o["product"]],
        "Lineitem price": money(o.price),
    }
    return write_csv("orders.csv", columns, make_table(email, o.time + pd.Timedelta(hours=5), o.order_total, first))


def taobao(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    state = np.where(rng.random(len(o)) < 0.1, "交易关闭", "交易成功")
    who = [f"买家{c:03d}" for c in o.customer]
    columns = {
        "订单编号": o.order * 7919 + 10**15,
        "买家会员名": who,
        "买家实际支付金额": money(o.total),
        "订单状态": state,
        "订单付款时间": o.time.dt.strftime("%Y-%m-%d %H:%M:%S"),
    }
    return write_csv("orders.csv", columns, make_table(who, o.time, o.total, state == "交易成功"), encoding="gb18030")


def ozon(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    state = np.where(rng.random(len(o)) < 0.1, "Отменён", "Доставлен")
    columns = {
        "Номер заказа": o.order + 40000,
        "Дата заказа": o.time.dt.strftime("%d.%m.%Y %H:%M"),
        "ID клиента": o.customer + 900,
        "Статус": state,
        "Сумма": money(o.total, ",", " "),
    }
    table = make_table(o.customer + 900, o.time, o.total, state == "Доставлен")
    return write_csv("zakazy.csv", columns, table, separator=";", encoding="cp1251")


def gocardless(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    status = np.char.replace(pick(rng, len(o), paid_out=0.9, failed=0.06, cancelled=0.04).astype(str), " ", "_")
    ids = [f"CU{c * 7919 % 36**5:06d}" for c in o.customer]
    day = o.time.dt.normalize() + pd.Timedelta(days=3)
    columns = {
        "id": [f"PM{i:08d}" for i in o.order],
        "created_at": o.time.dt.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "charge_date": day.dt.strftime("%Y-%m-%d"),
        "amount": o.total,
        "amount_refunded": "0.00",
        "currency": "GBP",
        "status": status,
        "customers.id": ids,
        "customers.email": [f"p{c}@example.org" for c in o.customer],
    }
    return write_csv(
        "payments.csv", columns, *[make_table(ids, t, o.total, status == "paid_out") for t in (o.time, day)]
    )


def revolut(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    state = np.where(rng.random(len(o)) < 0.05, "REVERTED", "COMPLETED")
    who = [f"Payment from {PEOPLE[c]}" for c in o.customer]
    done = o.time + pd.Timedelta(minutes=3)
    columns = {
        "Type": "TOPUP",
        "Product": "Current",
        "Started Date": o.time.dt.strftime("%Y-%m-%d %H:%M:%S"),
        "Completed Date": done.dt.strftime("%Y-%m-%d %H:%M:%S"),
        "Description": who,
        "Amount": o.total,
        "Fee": "0.00",
        "Currency": "EUR",
        "State": state,
        "Balance": money(np.cumsum(o.total)),
    }
    tables = [make_table(who, t, o.total, state == "COMPLETED") for t in (o.time, done)]
    return write_csv("account-statement.csv", columns, *tables)


def french_bank(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    out = rng.random(len(o)) < 0.1
    who = np.where(out, "EDF PRELEVEMENT", [PEOPLE[c].upper() for c in o.customer])
    columns = {
        "Date": o.time.dt.strftime("%d/%m/%Y"),
        "Date de valeur": (o.time + pd.Timedelta(days=1)).dt.strftime("%d/%m/%Y"),
        "Libellé": who,
        "Débit euros": money(np.where(out, -o.total, np.nan), ","),
        "Crédit euros": money(np.where(out, np.nan, o.total), ","),
    }
    day = o.time.dt.normalize()
    tables = (make_table(who, day, np.where(out, -o.total, o.total)), make_table(who, day, o.total, ~out))
    above = "Compte n° 00040012345;;;;\nSolde au 01/08/2024;;;;\n"
    return write_csv("releve.csv", columns, *tables, separator=";", encoding="cp1252", above=above)


def ing_netherlands(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    out = rng.random(len(o)) < 0.1
    iban = np.where(out, "NL01BELA0000000001", [f"NL{c % 90 + 10}ABNA{c * 7919 % 10**10:010d}" for c in o.customer])
    columns = {
        "Datum": o.time.dt.strftime("%Y%m%d"),
        "Naam / Omschrijving": np.where(out, "Belastingdienst", [PEOPLE[c] for c in o.customer]),
        "Rekening": "NL20INGB0001234567",
        "Tegenrekening": iban,
        "Code": "GT",
        "Af Bij": np.where(out, "Af", "Bij"),
        "Bedrag (EUR)": money(o.total, ","),
        "Mutatiesoort": "Online bankieren",
        "Mededelingen": [f"factuur {i}" for i in o.order],
    }
    day = o.time.dt.normalize()
    signed = np.where(out, -o.total, o.total)
    tables = [
        make_table(ids, day, v, k)
        for ids in (iban, columns["Naam / Omschrijving"])
        for v, k in ((signed, None), (o.total, ~out))
    ]
    return write_csv("NL20INGB.csv", columns, *tables, separator=";", quote_all=True)


def xero(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    columns = {
        "ContactName": [PEOPLE[c] for c in o.customer],
        "InvoiceNumber": [f"INV-{i:04d}" for i in o.order],
        "InvoiceDate": o.time.dt.strftime("%d/%m/%Y"),
        "DueDate": (o.time + pd.Timedelta(days=14)).dt.strftime("%d/%m/%Y"),
        "Total": o.order_total,
        "InvoiceAmountPaid": o.order_total,
        "InvoiceAmountDue": 0,
        "Description": [PRODUCTS[p] for p in o["product"]],
        "Quantity": o.quantity,
        "UnitAmount": o.price,
        "LineAmount": o.total,
        "Currency": "GBP",
    }
    day = o.time.dt.normalize()
    who = columns["ContactName"]
    return write_csv(
        "invoices.csv", columns, make_table(who, day, o.total), make_table(who, day, o.order_total, o["first"])
    )


def quickbooks(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    back = rng.random(len(o)) < 0.06
    columns = {
        "Date": o.time.dt.strftime("%m/%d/%Y"),
        "Transaction type": np.where(back, "Credit Memo", "Invoice"),
        "Num": o.order + 1001,
        "Customer": [PEOPLE[c] for c in o.customer],
        "Amount": money(np.where(back, -o.total, o.total), group=","),
        "Balance": money(np.cumsum(np.where(back, -o.total, o.total)), group=","),
    }
    table = make_table(columns["Customer"], o.time.dt.normalize(), np.where(back, -o.total, o.total))
    return write_csv("sales.csv", columns, table, above="Sales by Customer Detail\nAll dates\n\n", quote_all=True)


def odoo(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    status = pick(rng, len(o), Sales_Order=0.8, Quotation=0.15, Cancelled=0.05)
    columns = {
        "Order Reference": [f"S{i:05d}" for i in o.order],
        "Creation Date": o.time.dt.strftime("%Y-%m-%d %H:%M:%S"),
        "Customer": [f"{PEOPLE[c]}, Ltd" for c in o.customer],
        "Salesperson": pick(rng, len(o), Mitchell_Admin=1, Marc_Demo=1),
        "Total": o.total,
        "Status": status,
    }
    is_sale = status == "Sales Order"
    return write_csv("sale.order.csv", columns, make_table(columns["Customer"], o.time, o.total, is_sale))


def dynamics(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    columns = {
        "SalesId": [f"SO-{i:06d}" for i in o.order],
        "CustAccount": [f"US-{c:03d}" for c in o.customer],
        "InvoiceDate": o.time.dt.strftime("%-m/%-d/%Y 12:00:00 AM"),
        "ItemId": [f"D{p:04d}" for p in o["product"]],
        "QtyInvoiced": o.quantity,
        "SalesPrice": o.price,
        "LineAmount": o.total,
        "CurrencyCode": "USD",
    }
    return write_csv(
        "CustInvoiceTrans.csv", columns, make_table(columns["CustAccount"], o.time.dt.normalize(), o.total)
    )


def game_purchases(rng: np.random.Generator) -> Export:
    o = make_lines(rng, lines=1)
    test = rng.random(len(o)) < 0.05
    ids = [f"{c * 2654435761 % 16**8:08x}" for c in o.customer]
    columns = {
        "player_id": ids,
        "ts": (o.time - pd.Timestamp("1970-01-01")) // pd.Timedelta(seconds=1),
        "product_sku": [f"gems_{p}" for p in o["product"]],
        "price_usd": o.price,
        "store": pick(rng, len(o), google=0.6, apple=0.4),
        "country": pick(rng, len(o), US=0.5, DE=0.3, JP=0.2),
        "is_test": np.where(test, "true", "false"),
    }
    return write_csv("iap.csv", columns, make_table(ids, o.time, o.price, ~test))


def parking(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    minutes = rng.integers(10, 300, len(o))
    plate = [f"B-{chr(65 + c % 26)}{chr(65 + c % 7)} {c + 100}" for c in o.customer]
    fee = (minutes * 0.05).round(2)
    columns = {
        "Plate": plate,
        "Zone": rng.integers(1, 6, len(o)),
        "Start": o.time.dt.strftime("%d.%m.%Y %H:%M"),
        "End": (o.time + pd.to_timedelta(minutes, unit="min")).dt.strftime("%d.%m.%Y %H:%M"),
        "Duration": minutes,
        "Fee": money(fee, ","),
    }
    return write_csv("parking.csv", columns, make_table(plate, o.time, fee), separator=";")


def charging(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    energy = rng.gamma(4, 6, len(o)).round(3)
    cost = (energy * 0.49).round(2)
    card = [f"04{c * 7919**3 % 16**10:010X}" for c in o.customer]
    columns = {
        "Session ID": o.order + 77000,
        "RFID Card": card,
        "Start Time": o.time.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        "End Time": (o.time + pd.to_timedelta(rng.integers(20, 200, len(o)), unit="min")).dt.strftime(
            "%Y-%m-%dT%H:%M:%S+00:00"
        ),
        "Energy (kWh)": energy,
        "Cost (EUR)": money(cost),
    }
    return write_csv("sessions.csv", columns, make_table(card, o.time, cost))


def cinema(rng: np.random.Generator) -> Export:
    o = make_lines(rng, lines=1)
    void = rng.random(len(o)) < 0.07
    columns = {
        "BookingRef": [f"{i * 7919 % 36**5:06d}" for i in o.order],
        "MemberCard": o.customer + 60000,
        "Film": [PRODUCTS[p] for p in o["product"]],
        "Seats": o.quantity,
        "TicketPrice": o.price,
        "Total": o.total,
        "BookedAt": o.time.dt.strftime("%d/%m/%Y %H:%M"),
        "Cancelled": np.where(void, "Y", "N"),
    }
    return write_csv("bookings.csv", columns, make_table(o.customer + 60000, o.time, o.total, ~void))


def stamp_cards(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    rows = [
        [t.to_pydatetime(), int(c) + 4000, float(v), int(v), "Mitte" if c % 2 else "Nord"]
        for t, c, v in zip(o.time, o.customer, o.total, strict=True)
    ]
    sheet = [["Datum", "Stempelkarte", "Umsatz", "Punkte", "Filiale"], *rows]
    return Export("karten.xlsx", write_xlsx({"Daten": sheet}), (make_table(o.customer + 4000, o.time, o.total),))


def settlements(rng: np.random.Generator) -> Export:
    o = make_orders(rng, orders=900, customers=150)
    state = pick(rng, len(o), SETTLED=0.9, REJECTED=0.1)
    columns = {
        "payment_key": [f"pk_{i:06d}" for i in o.order],
        "wallet_owner": pd.Categorical([f"w{c:05d}" for c in o.customer]),
        "booked_ts": o.time.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        "gross_amount": [Decimal(f"{v:.2f}") for v in o.total],
        "result": state,
    }
    return write_parquet(
        "settle.parquet", columns, make_table(columns["wallet_owner"], o.time, o.total, state == "SETTLED")
    )


def italian_invoices(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    tax = (o.total * 0.22).round(2)
    paid = rng.random(len(o)) < 0.9
    vat = [f"IT{c * 7919 % 10**11:011d}" for c in o.customer]
    columns = {
        "Data documento": o.time.dt.strftime("%d/%m/%Y"),
        "Numero": [f"{i}/2023" for i in o.order],
        "Cliente": [f"{PEOPLE[c]} S.r.l." for c in o.customer],
        "Partita IVA": vat,
        "Imponibile": money(o.total, ",", "."),
        "Imposta": money(tax, ",", "."),
        "Totale documento": money(o.total + tax, ",", "."),
        "Scadenza": (o.time + pd.Timedelta(days=30)).dt.strftime("%d/%m/%Y"),
        "Stato pagamento": np.where(paid, "Saldato", "Non saldato"),
    }
    day = o.time.dt.normalize()
    amounts = [(v, k) for v in (o.total + tax, o.total) for k in (None, paid)]
    tables = [make_table(ids, day, v, k) for ids in (columns["Cliente"], vat) for v, k in amounts]
    return write_csv("fatture.csv", columns, *tables, separator=";")


def newspaper(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    ids = [f"A-{c:05d}" for c in o.customer]
    start = o.time.dt.normalize() + pd.Timedelta(days=7)
    columns = {
        "Abonnentnr": ids,
        "Etternavn": [PEOPLE[c].split()[1] for c in o.customer],
        "Produkt": pick(rng, len(o), Helg=0.5, Daglig=0.5),
        "Fakturadato": o.time.dt.strftime("%d.%m.%Y"),
        "Periode fra": start.dt.strftime("%d.%m.%Y"),
        "Forfallsdato": (o.time + pd.Timedelta(days=14)).dt.strftime("%d.%m.%Y"),
        "Beløp": money(o.total, ",", " "),
        "Betalt": money(o.total, ",", " "),
    }
    return write_csv(
        "faktura.csv", columns, make_table(ids, o.time.dt.normalize(), o.total), separator=";", encoding="cp1252"
    )


FURTHER = (
    *(bigcommerce, squarespace, taobao, ozon, gocardless, revolut, french_bank, ing_netherlands, xero, quickbooks),
    *(odoo, dynamics, game_purchases, parking, charging, cinema, stamp_cards, settlements, italian_invoices, newspaper),
)
