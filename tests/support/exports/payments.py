"""Exports of payment services and banks."""

import numpy as np
import pandas as pd

from tests.support.exports.history import PEOPLE, Export, make_orders, make_table, money, pick, write_csv


def paypal(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    kinds = pick(rng, len(o), Express_Checkout_Payment=0.9, General_Withdrawal=0.05, Pre_approved_Payment=0.05)
    out = kinds == "General Withdrawal"
    gross = np.where(out, -(o.total * 20).round(2), o.total)
    fee = np.where(out, 0, -(o.total * 0.03).round(2))
    buyers = [f"{PEOPLE[c].replace(' ', '.').lower()}@example.com" for c in o.customer]
    email = np.where(out, "", buyers)
    columns = {
        "Date": o.time.dt.strftime("%d/%m/%Y"),
        "Time": o.time.dt.strftime("%H:%M:%S"),
        "TimeZone": "Europe/London",
        "Name": np.where(out, "", [PEOPLE[c] for c in o.customer]),
        "Type": kinds,
        "Status": pick(rng, len(o), Completed=1),
        "Currency": "GBP",
        "Gross": money(gross, group=","),
        "Fee": money(fee, group=","),
        "Net": money(gross + fee, group=","),
        "From Email Address": email,
        "To Email Address": np.where(out, "", "shop@example.com"),
        "Transaction ID": [f"{i * 2654435761 % 36**8:X}T" for i in o.order],
        "Balance": money(np.cumsum(gross + fee), group=","),
    }
    local = o.time.dt.tz_localize("Europe/London", ambiguous=True, nonexistent="shift_forward")
    tables = [make_table(email, when, gross, ~out) for when in (o.time, local)]
    return write_csv("Download.CSV", columns, *tables, quote_all=True, encoding="utf-8-sig")


def klarna_without_customer(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    returned = rng.random(len(o)) < 0.08
    columns = {
        "type": np.where(returned, "RETURN", "SALE"),
        "sale_date": o.time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "capture_date": (o.time + np.timedelta64(1, "D")).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "order_id": [f"{i * 2654435761 % 16**8:08x}-{i:04d}" for i in o.order],
        "merchant_reference1": o.order + 5000,
        "amount": np.where(returned, -o.total, o.total),
        "currency_code": "SEK",
        "purchase_country": "SE",
    }
    return write_csv("settlement.csv", columns)


def adyen(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    answer = pick(rng, len(o), APPROVED=0.9, DECLINED=0.1)
    shopper = [f"shopper-{c:04d}" for c in o.customer]
    columns = {
        "Company Account": "GreenLtd",
        "Merchant Account": "GreenLtdECOM",
        "Psp Reference": [f"88{i * 7919 % 10**14:014d}" for i in o.order],
        "Merchant Reference": [f"order-{i}" for i in o.order],
        "Payment Method": pick(rng, len(o), visa=0.6, mc=0.4),
        "Creation Date": o.time.dt.strftime("%Y-%m-%d %H:%M:%S"),
        "TimeZone": "CET",
        "Currency": "EUR",
        "Amount": o.total,
        "Type": "Payment",
        "Risk Scoring": rng.integers(0, 90, len(o)),
        "Shopper Interaction": "Ecommerce",
        "Shopper Name": [PEOPLE[c] for c in o.customer],
        "Shopper IP": [f"10.0.{i % 250}.{i * 7 % 250}" for i in o.order],
        "Shopper Country": "NL",
        "Acquirer Response": answer,
        "Shopper Reference": shopper,
    }
    return write_csv("received_payments.csv", columns, make_table(shopper, o.time, o.total, answer == "APPROVED"))


def mollie(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    status = pick(rng, len(o), paid=0.8, expired=0.1, canceled=0.06, failed=0.04)
    paid = status == "paid"
    account = np.where(paid, [f"NL{c % 90 + 10}INGB{c * 7919 % 10**10:010d}" for c in o.customer], "")
    columns = {
        "Date": o.time.dt.strftime("%Y-%m-%d %H:%M:%S"),
        "Payment method": pick(rng, len(o), ideal=0.8, bancontact=0.2),
        "Currency": "EUR",
        "Amount": o.total,
        "Status": status,
        "ID": [f"tr_{i * 2654435761 % 36**8:x}" for i in o.order],
        "Description": [f"Order {i}" for i in o.order],
        "Consumer name": np.where(paid, [PEOPLE[c] for c in o.customer], ""),
        "Consumer bank account": account,
        "Consumer BIC": np.where(paid, "INGBNL2A", ""),
        "Settlement currency": np.where(paid, "EUR", ""),
        "Settlement amount": money(np.where(paid, o.total, np.nan)),
        "Amount refunded": "0.00",
    }
    names = columns["Consumer name"]
    return write_csv("payments.csv", columns, *[make_table(ids, o.time, o.total, paid) for ids in (account, names)])


def starling(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    out = rng.random(len(o)) < 0.15
    names = np.where(out, "Office Supplies Ltd", [PEOPLE[c] for c in o.customer])
    amount = np.where(out, -o.total, o.total)
    columns = {
        "Date": o.time.dt.strftime("%d/%m/%Y"),
        "Counter Party": names,
        "Reference": [f"INV {i}" for i in o.order],
        "Type": np.where(out, "DIRECT DEBIT", "FASTER PAYMENT"),
        "Amount (GBP)": money(amount),
        "Balance (GBP)": money(np.cumsum(amount)),
        "Spending Category": np.where(out, "ADMIN", "REVENUE"),
    }
    day = o.time.dt.normalize()
    return write_csv(
        "StarlingStatement.csv", columns, make_table(names, day, amount), make_table(names, day, amount, ~out)
    )


def sparkasse(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    iban = [f"DE{c % 90 + 10}50050201{c * 7919 % 10**10:010d}" for c in o.customer]
    columns = {
        "Auftragskonto": "DE12500105170648489890",
        "Buchungstag": o.time.dt.strftime("%d.%m.%y"),
        "Valutadatum": (o.time + np.timedelta64(1, "D")).dt.strftime("%d.%m.%y"),
        "Buchungstext": "GUTSCHR. UEBERWEISUNG",
        "Verwendungszweck": [f"Rechnung {i + 700} vielen Dank" for i in o.order],
        "Glaeubiger ID": "",
        "Kundenreferenz (End-to-End)": "NOTPROVIDED",
        "Beguenstigter/Zahlungspflichtiger": [PEOPLE[c].upper() for c in o.customer],
        "Kontonummer/IBAN": iban,
        "BIC (SWIFT-Code)": "HELADEF1822",
        "Betrag": money(o.total, ","),
        "Waehrung": "EUR",
        "Info": "Umsatz gebucht",
    }
    table = make_table(iban, o.time.dt.normalize(), o.total)
    return write_csv("umsaetze.CSV", columns, table, separator=";", encoding="cp1252", quote_all=True)


def rabobank(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    iban = [f"NL{c % 90 + 10}ABNA{c * 7919 % 10**10:010d}" for c in o.customer]
    signed = [f"+{text}" for text in money(o.total, ",")]
    columns = {
        "IBAN/BBAN": "NL44RABO0123456789",
        "Munt": "EUR",
        "BIC": "RABONL2U",
        "Volgnr": [f"{i:018d}" for i in range(len(o))],
        "Datum": o.time.dt.strftime("%Y-%m-%d"),
        "Rentedatum": o.time.dt.strftime("%Y-%m-%d"),
        "Bedrag": signed,
        "Saldo na trn": [f"+{text}" for text in money(np.cumsum(o.total), ",")],
        "Tegenrekening IBAN/BBAN": iban,
        "Naam tegenpartij": [PEOPLE[c] for c in o.customer],
        "Code": "cb",
        "Omschrijving-1": [f"factuur {i}" for i in o.order],
    }
    return write_csv("CSV_A.csv", columns, make_table(iban, o.time.dt.normalize(), o.total), quote_all=True)


def chargebee(rng: np.random.Generator) -> Export:
    o = make_orders(rng, days=700)
    status = pick(rng, len(o), Paid=0.85, Payment_Due=0.07, Voided=0.04, Not_Paid=0.04)
    start = o.time.dt.normalize()
    owner = [f"AzZ{c * 7919 % 36**5:05d}xq" for c in o.customer]
    columns = {
        "Invoice Number": o.order + 1,
        "Customer Id": owner,
        "Subscription Id": [f"{owner_}-sub" for owner_ in owner],
        "Start Date": start.dt.strftime("%d-%b-%Y %H:%M"),
        "Invoice Date": o.time.dt.strftime("%d-%b-%Y %H:%M"),
        "Amount": o.total,
        "Amount Due": money(np.where(status == "Paid", 0, o.total)),
        "Status": status,
        "Tax Total": 0,
        "Currency": "USD",
        "Paid On": np.where(status == "Paid", o.time.dt.strftime("%d-%b-%Y %H:%M"), ""),
    }
    return write_csv("Invoices.csv", columns, make_table(owner, o.time, o.total, status == "Paid"))


def sql_dump(rng: np.random.Generator) -> Export:
    o = make_orders(rng, orders=900, customers=200)
    state = pick(rng, len(o), captured=0.9, failed=0.1)
    cents = (o.total * 100).round().astype(int)
    frame = {
        "id": o.order + 88001,
        "user_id": o.customer + 1,
        "state": state,
        "total_cents": cents,
        "currency": "usd",
        "created_at": o.time.dt.strftime("%Y-%m-%d %H:%M:%S.123456"),
        "updated_at": (o.time + pd.Timedelta(hours=3)).dt.strftime("%Y-%m-%d %H:%M:%S.5"),
        "deleted_at": r"\N",
    }
    when = o.time + pd.Timedelta(microseconds=123456)
    return write_csv(
        "payments.tsv", frame, make_table(o.customer + 1, when, o.total, state == "captured"), separator="\t"
    )


PAYMENTS = (
    paypal,
    klarna_without_customer,
    adyen,
    mollie,
    starling,
    sparkasse,
    rabobank,
    chargebee,
    sql_dump,
)
