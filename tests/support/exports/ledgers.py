"""Exports of bookkeeping, ERP and CRM systems."""

import numpy as np

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
)
from tests.support.workbooks import write_xlsx


def sap_billing(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    back = (rng.random(o.order.max() + 1) < 0.05)[o.order]
    value = np.where(back, -o.total, o.total)
    texts = [f"{text.lstrip('-')}{'-' if v < 0 else ''}" for text, v in zip(money(value, ",", "."), value, strict=True)]
    columns = {
        "MANDT": 100,
        "VBELN": [f"{i + 90000000:010d}" for i in o.order],
        "POSNR": [f"{(n + 1) * 10:06d}" for n in o.groupby("order").cumcount()],
        "FKART": np.where(back, "RE", "F2"),
        "FKDAT": o.time.dt.strftime("%Y%m%d"),
        "KUNAG": [f"{c + 100000:010d}" for c in o.customer],
        "MATNR": [f"{p + 4711:018d}" for p in o["product"]],
        "FKIMG": money(o.quantity, ",", ".", digits=3),
        "NETWR": texts,
        "WAERK": "EUR",
    }
    ids = columns["KUNAG"]
    return write_csv("VBRP.txt", columns, make_table(ids, o.time.dt.normalize(), value), separator="|")


def datev_accounts(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    back = rng.random(len(o)) < 0.06
    ids = o.customer + 10000
    columns = {
        "Konto": ids,
        "Kontobezeichnung": [PEOPLE[c] for c in o.customer],
        "Rechnungs-Nr.": o.order + 2023001,
        "Datum": o.time.dt.strftime("%d.%m.%Y"),
        "Fälligkeit": (o.time + np.timedelta64(14, "D")).dt.strftime("%d.%m.%Y"),
        "Betrag Soll": money(np.where(back, np.nan, o.total), ",", "."),
        "Betrag Haben": money(np.where(back, o.total, np.nan), ",", "."),
        "Saldo": money(np.cumsum(np.where(back, -o.total, o.total)), ",", "."),
    }
    table = make_table(ids, o.time.dt.normalize(), np.where(back, -o.total, o.total))
    return write_csv("OPOS.csv", columns, table, separator=";", encoding="cp1252")


def sage_lines(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    code = [f"C{c:04d}{PEOPLE[c].split()[1][:3].upper()}" for c in o.customer]
    columns = {
        "N° pièce": [f"FA{i:05d}" for i in o.order],
        "Date": o.time.dt.strftime("%d/%m/%Y"),
        "Code client": code,
        "Intitulé client": [PEOPLE[c] for c in o.customer],
        "Référence article": [f"ART{p}" for p in o["product"]],
        "Désignation": [PRODUCTS[p] for p in o["product"]],
        "Qté": o.quantity,
        "PU HT": money(o.price, ","),
        "Montant HT": money(o.total, ","),
        "Montant TTC": money((o.total * 1.2).round(2), ","),
    }
    days = o.time.dt.normalize()
    tables = [make_table(code, days, amount) for amount in (o.total, (o.total * 1.2).round(2))]
    return write_csv("ventes.csv", columns, *tables, separator=";", encoding="cp1252")


def spanish_invoices(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    tax = (o.total * 0.21).round(2)
    state = pick(rng, len(o), Cobrada=0.9, Anulada=0.1)
    nif = [f"{c * 7919 % 10**8:08d}{'TRWAGMYFPD'[c % 10]}" for c in o.customer]
    columns = {
        "Fecha": o.time.dt.strftime("%d/%m/%Y"),
        "Núm. factura": [f"F23-{i:04d}" for i in o.order],
        "NIF": nif,
        "Nombre fiscal": [PEOPLE[c] for c in o.customer],
        "Base imponible": money(o.total, ",", ".", after=" €"),
        "IVA": money(tax, ",", ".", after=" €"),
        "Total factura": money(o.total + tax, ",", ".", after=" €"),
        "Estado": state,
    }
    days = o.time.dt.normalize()
    tables = [make_table(nif, days, amount, state == "Cobrada") for amount in (o.total + tax, o.total)]
    return write_csv("facturas.csv", columns, *tables, separator=";")


def dutch_invoices(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    tax = (o.total * 0.21).round(2)
    columns = {
        "Factuurnr": o.order + 230001,
        "Factuurdatum": o.time.dt.strftime("%d-%m-%Y"),
        "Vervaldatum": (o.time + np.timedelta64(30, "D")).dt.strftime("%d-%m-%Y"),
        "Debiteurnr": o.customer + 1000,
        "Debiteur": [f"{PEOPLE[c]} B.V." for c in o.customer],
        "Bedrag excl. btw": money(o.total, ",", "."),
        "Btw": money(tax, ",", "."),
        "Bedrag incl. btw": money(o.total + tax, ",", "."),
    }
    days = o.time.dt.normalize()
    tables = [make_table(o.customer + 1000, days, amount) for amount in (o.total, o.total + tax)]
    return write_csv("facturen.csv", columns, *tables, separator=";")


def fortnox(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    total = (o.total * 40).round(2)
    columns = {
        "Fakturanr": o.order + 1,
        "Kundnr": o.customer + 101,
        "Kundnamn": [f"{PEOPLE[c]} AB" for c in o.customer],
        "Fakturadatum": o.time.dt.strftime("%Y-%m-%d"),
        "Förfallodatum": (o.time + np.timedelta64(30, "D")).dt.strftime("%Y-%m-%d"),
        "Total": money(total, ",", "\u00a0"),
        "Saldo": money(total * 0, ",", "\u00a0"),
        "Valuta": "SEK",
    }
    return write_csv("fakturor.csv", columns, make_table(o.customer + 101, o.time.dt.normalize(), total), separator=";")


def salesforce(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    stage = pick(rng, len(o), Closed_Won=0.5, Closed_Lost=0.3, Prospecting=0.1, Negotiation=0.1)
    account = [f"001A{c * 7919 % 36**6:011d}" for c in o.customer]
    columns = {
        "Opportunity ID": [f"006A{i * 104729 % 36**6:011d}" for i in o.order],
        "Account ID": account,
        "Account Name": [f"{PEOPLE[c].split()[1]} {c} Inc" for c in o.customer],
        "Opportunity Name": [f"Renewal {i}" for i in o.order],
        "Stage": stage,
        "Amount": money(o.total * 100),
        "Probability (%)": np.where(stage == "Closed Won", 100, 20),
        "Close Date": o.time.dt.strftime("%m/%d/%Y"),
        "Created Date": (o.time - np.timedelta64(40, "D")).dt.strftime("%m/%d/%Y"),
        "Owner": pick(rng, len(o), Kim=1, Lee=1),
    }
    table = make_table(account, o.time.dt.normalize(), (o.total * 100).round(2), stage == "Closed Won")
    return write_csv("opportunities.csv", columns, table, quote_all=True)


def hubspot(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    stage = pick(rng, len(o), closedwon=0.6, closedlost=0.3, appointmentscheduled=0.1)
    company = o.customer * 977 + 8800000000
    columns = {
        "Record ID": o.order * 31 + 12000000000,
        "Deal Name": [f"Deal {i}" for i in o.order],
        "Deal Stage": stage,
        "Close Date": o.time.dt.strftime("%Y-%m-%d %H:%M"),
        "Create Date": (o.time - np.timedelta64(9, "D")).dt.strftime("%Y-%m-%d %H:%M"),
        "Amount": o.total,
        "Deal owner": pick(rng, len(o), Kim=1, Lee=1),
        "Pipeline": "Sales Pipeline",
        "Associated Company IDs": company,
        "Associated Company": [f"{PEOPLE[c].split()[1]} {c} GmbH" for c in o.customer],
    }
    tables = [
        make_table(ids, o.time, o.total, stage == "closedwon") for ids in (company, columns["Associated Company"])
    ]
    return write_csv("deals.csv", columns, *tables)


def raisers_edge(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    columns = {
        "Constituent ID": o.customer + 300,
        "Constituent Name": [PEOPLE[c] for c in o.customer],
        "Gift ID": o.order + 70000,
        "Gift Date": [f"{t.month}/{t.day}/{t.year}" for t in o.time],
        "Gift Amount": money(o.total * 30, group=",", before="$"),
        "Gift Type": pick(rng, len(o), Cash=0.8, Recurring_Gift_Pay_Cash=0.2),
        "Fund ID": pick(rng, len(o), ANNUAL=0.7, BUILDING=0.3),
    }
    table = make_table(o.customer + 300, o.time.dt.normalize(), (o.total * 30).round(2))
    return write_csv("gifts.csv", columns, table, quote_all=True)


def indian_register(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    value = (o.total * 3000).round()
    gstin = [f"29ABCDE{c:04d}F1Z{c % 10}" for c in o.customer]

    def lakhs(amount: float) -> str:
        whole = f"{int(amount)}"
        head, tail = whole[:-3], whole[-3:]
        groups = [head[max(0, i - 2) : i] for i in range(len(head), 0, -2)][::-1]
        return ",".join([*groups, tail]) + ".00"

    columns = {
        "Voucher Date": o.time.dt.strftime("%d-%b-%Y"),
        "Party Name": [f"{PEOPLE[c]} Traders" for c in o.customer],
        "GSTIN/UIN": gstin,
        "Voucher No": [f"GST/23-24/{i}" for i in o.order],
        "Gross Total": [lakhs(v) for v in value],
    }
    days = o.time.dt.normalize()
    return write_csv(
        "sales_register.csv", columns, make_table(columns["Party Name"], days, value), make_table(gstin, days, value)
    )


def till_workbook(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    rows = [
        [int(i), int(c) + 500, t.to_pydatetime(), float(v)]
        for i, c, t, v in zip(o.order, o.customer, o.time, o.total, strict=True)
    ]
    total = ["Total", None, None, float(o.total.sum())]
    sheet = [
        ["Umsatzliste Filiale Nord"],
        ["erstellt am 01.08.2024"],
        [],
        ["Bon", "Kundenkarte", "Zeitpunkt", "Summe EUR"],
        *rows,
        total,
    ]
    return Export("umsatz.xlsx", write_xlsx({"Umsatz": sheet}), (make_table(o.customer + 500, o.time, o.total),))


LEDGERS = (
    sap_billing,
    datev_accounts,
    sage_lines,
    spanish_invoices,
    dutch_invoices,
    fortnox,
    salesforce,
    hubspot,
    raisers_edge,
    indian_register,
    till_workbook,
)
