"""Exports of tills, subscriptions, events, telephony, and of data warehouses."""

import uuid

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


def lightspeed_lines(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    tax = (o.total * 0.08).round(2)
    columns = {
        "ID": np.arange(len(o)) + 1,
        "Date": o.time.dt.strftime("%m/%d/%Y %I:%M %p"),
        "Sale ID": o.order + 41000,
        "Customer": [PEOPLE[c] for c in o.customer],
        "Description": [PRODUCTS[p] for p in o["product"]],
        "Qty": o.quantity,
        "Retail": money(o.price, before="$"),
        "Subtotal": money(o.total, before="$"),
        "Discount": "$0.00",
        "Tax": money(tax, before="$"),
        "Total": money(o.total + tax, before="$"),
        "Cost": money(o.total * 0.5, before="$"),
        "Profit": money(o.total * 0.5, before="$"),
    }
    tables = [make_table(columns["Customer"], o.time, amount) for amount in (o.total, o.total + tax)]
    return write_csv("sales_lines.csv", columns, *tables)


def toast_payments(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    tip = (o.total * rng.choice([0, 0.15, 0.2], len(o))).round(2)
    status = pick(rng, len(o), CAPTURED=0.93, VOIDED=0.07)
    email = [f"{PEOPLE[c].split()[0].lower()}{c}@example.com" for c in o.customer]
    columns = {
        "Location": "Main Street",
        "Payment Id": o.order * 31 + 900000000000,
        "Paid Date": o.time.dt.strftime("%-m/%-d/%y %-I:%M %p"),
        "Check #": rng.integers(1, 99, len(o)),
        "Server": pick(rng, len(o), Kim=1, Lee=1, Max=1),
        "Table": rng.integers(1, 20, len(o)),
        "Email": email,
        "Amount": o.total,
        "Tip": tip,
        "Total": (o.total + tip).round(2),
        "Refunded": "No",
        "Status": status,
        "Card Type": pick(rng, len(o), VISA=1, AMEX=1),
        "Last 4 Card Digits": o.customer + 1200,
    }
    tables = [make_table(email, o.time, amount, status == "CAPTURED") for amount in (o.total, o.total + tip)]
    return write_csv("PaymentDetails.csv", columns, *tables)


def call_records(rng: np.random.Generator) -> Export:
    o = make_orders(rng, orders=2000, customers=300, days=200)
    rated = (rng.lognormal(-2, 1, len(o))).round(4)
    ids = [f"4917{c * 7919 % 10**8:08d}" for c in o.customer]
    when = o.time + pd.to_timedelta(rng.integers(0, 60, len(o)), unit="s")
    columns = {
        "CALL_ID": o.order + 10**9,
        "CALLING_NUMBER": ids,
        "CALLED_NUMBER": [f"4930{n:08d}" for n in rng.integers(0, 10**8, len(o))],
        "START_TIME": when.dt.strftime("%Y%m%d%H%M%S"),
        "DURATION_SEC": rng.integers(3, 2000, len(o)),
        "CELL_ID": rng.integers(1000, 1040, len(o)),
        "RATED_AMOUNT": money(rated, digits=4),
        "TARIFF": pick(rng, len(o), FLAT=0.5, BASIC=0.5),
    }
    return write_csv("cdr.csv", columns, make_table(ids, when, rated), separator="|")


def gym(rng: np.random.Generator) -> Export:
    o = make_orders(rng, orders=900, days=500)
    event = pick(rng, len(o), checkin=0.8, payment=0.2)
    paid = event == "payment"
    columns = {
        "MemberNo": o.customer + 7000,
        "Member Name": [PEOPLE[c] for c in o.customer],
        "Event": event,
        "When": o.time.dt.strftime("%d/%m/%Y %H:%M"),
        "Amount": np.where(paid, money(np.full(len(o), 39.9)), ""),
        "Club": pick(rng, len(o), North=1, South=1),
    }
    table = make_table(o.customer + 7000, o.time, np.full(len(o), 39.9), paid)
    return write_csv("activity.csv", columns, table)


def eventbrite(rng: np.random.Generator) -> Export:
    o = make_lines(rng, lines=2)
    status = pick(rng, len(o), Attending=0.9, Not_Attending=0.1)
    fees = (o.total * 0.06).round(2)
    email = [f"{PEOPLE[c].split()[0].lower()}{c}@example.com" for c in o.customer]
    columns = {
        "Order #": o.order * 31 + 5500000000,
        "Order Date": o.time.dt.strftime("%Y-%m-%d %H:%M:%S+00:00"),
        "First Name": [PEOPLE[c].split()[0] for c in o.customer],
        "Surname": [PEOPLE[c].split()[1] for c in o.customer],
        "Email": email,
        "Event Name": pick(rng, len(o), Jazz_Night=1, Open_Air=1),
        "Quantity": o.quantity,
        "Ticket Type": pick(rng, len(o), Early=1, Regular=1),
        "Attendee #": np.arange(len(o)) + 99000000,
        "Currency": "GBP",
        "Gross sales": o.total,
        "Fees": fees,
        "Net sales": (o.total - fees).round(2),
        "Attendee Status": status,
    }
    tables = [make_table(email, o.time, o.total, is_sale) for is_sale in (status == "Attending", None)]
    return write_csv("report.csv", columns, *tables)


def loyalty_lines(rng: np.random.Generator) -> Export:
    o = make_lines(rng, orders=800, customers=90)
    card = [f"29{c * 7919 % 10**11:011d}" for c in o.customer]
    columns = {
        "KARTENNR": card,
        "BONNR": o.order % 500 + 1,
        "DATUM": o.time.dt.strftime("%d.%m.%Y"),
        "UHRZEIT": o.time.dt.strftime("%H:%M"),
        "FILIALE": pick(rng, len(o), **{"12": 1, "14": 1}),
        "ARTNR": o["product"] + 100,
        "MENGE": money(o.quantity, ",", digits=3),
        "EINZELPREIS": money(o.price, ","),
        "BETRAG": money(o.total, ","),
        "PUNKTE": o.total.astype(int),
    }
    return write_csv("bondaten.csv", columns, make_table(card, o.time, o.total), separator=";")


def warehouse_events(rng: np.random.Generator) -> Export:
    o = make_orders(rng, orders=3000, customers=400)
    name = pick(rng, len(o), purchase=0.3, view_item=0.5, add_to_cart=0.2)
    name = np.char.replace(name.astype(str), " ", "_")
    bought = name == "purchase"
    pseudo = [f"{c * 2654435761 % 10**9}.{1670000000 + c * 77}" for c in o.customer]
    micro = (o.time - pd.Timestamp("1970-01-01")) // pd.Timedelta(microseconds=1)
    columns = {
        "event_date": o.time.dt.strftime("%Y%m%d"),
        "event_timestamp": micro.astype("int64"),
        "event_name": name,
        "user_pseudo_id": pseudo,
        "transaction_id": np.where(bought, [f"T{i}" for i in o.order], None),
        "purchase_revenue": np.where(bought, o.total, np.nan),
        "platform": "WEB",
    }
    return write_parquet("events.parquet", columns, make_table(pseudo, o.time, o.total, bought))


def minor_units(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    ids = [str(uuid.UUID(int=int(c) * 2654435761**3 % 2**128)) for c in o.customer]
    milli = ((o.time - pd.Timestamp("1970-01-01")) // pd.Timedelta(milliseconds=1)).astype("int64")
    cents = (o.price * 100).round().astype("int64")
    columns = {
        "line_uuid": [str(uuid.UUID(int=(i + 1) * 7919**7)) for i in range(len(o))],
        "account_uuid": ids,
        "occurred_at_ms": milli,
        "sku": [f"S-{p}" for p in o["product"]],
        "qty": o.quantity.astype("int32"),
        "unit_price_minor": cents,
        "currency": "EUR",
    }
    return write_parquet("lines.parquet", columns, make_table(ids, o.time, o.total))


def wide_dump(rng: np.random.Generator) -> Export:
    o = make_orders(rng, orders=600, customers=120)
    ids = o.customer + 5500
    columns: dict[str, object] = {"entity_id": o.order + 1, "increment_id": o.order + 100000001, "store_id": 1}
    columns |= {f"attribute_{i:02d}": rng.integers(0, 5, len(o)) for i in range(20)}
    columns |= {"customer_id": ids, "customer_email": [f"p{c}@example.net" for c in o.customer]}
    columns |= {"customer_group_id": rng.integers(0, 3, len(o)), "customer_is_guest": 0}
    columns |= {f"flag_{i}": rng.integers(0, 2, len(o)) for i in range(10)}
    columns |= {"created_at": o.time.dt.strftime("%Y-%m-%d %H:%M:%S")}
    columns |= {"updated_at": (o.time + pd.Timedelta(days=3)).dt.strftime("%Y-%m-%d %H:%M:%S")}
    columns |= {"base_currency_code": "EUR", "grand_total": o.total, "base_grand_total": o.total}
    columns |= {"total_qty_ordered": money(rng.integers(1, 5, len(o)), digits=4), "weight": rng.random(len(o)).round(3)}
    columns |= {"shipping_amount": 0.0, "tax_amount": (o.total * 0.1).round(2), "remote_ip": "10.0.0.1"}
    columns |= {f"ext_field_{i}": "" for i in range(14)}
    table = make_table(ids, o.time, o.total)
    return write_csv("sales_order.tsv", columns, table, separator="\t")


def hotel(rng: np.random.Generator) -> Export:
    o = make_orders(rng, customers=90)
    nights, rate = rng.integers(1, 6, len(o)), rng.choice([89.0, 109.0, 149.0], len(o))
    status = pick(rng, len(o), Checked_Out=0.85, Cancelled=0.1, No_Show=0.05)
    arrival = (o.time + pd.Timedelta(days=20)).dt.normalize()
    columns = {
        "Confirmation No": o.order + 80000,
        "Guest Profile ID": o.customer + 3000,
        "Booking Date": o.time.dt.strftime("%d-%b-%Y"),
        "Arrival": arrival.dt.strftime("%d-%b-%Y"),
        "Departure": (arrival + pd.to_timedelta(nights, unit="D")).dt.strftime("%d-%b-%Y"),
        "Room Nights": nights,
        "Rate": money(rate),
        "Room Revenue": money(rate * nights),
        "Status": status,
    }
    is_sale = status == "Checked Out"
    times = (o.time.dt.normalize(), arrival)
    return write_csv(
        "reservations.csv", columns, *[make_table(o.customer + 3000, t, rate * nights, is_sale) for t in times]
    )


def headless(rng: np.random.Generator) -> Export:
    o = make_orders(rng, orders=1500, customers=300)
    columns = {
        "a": [f"{c + 1:05d}" for c in o.customer],
        "b": o.time.dt.strftime("%Y%m%d"),
        "c": o.quantity,
        "d": money(o.total),
    }
    table = make_table(columns["a"], o.time.dt.normalize(), o.total)
    return write_csv("master.txt", columns, table, separator=" ", header=False)


SERVICES = (
    lightspeed_lines,
    toast_payments,
    call_records,
    gym,
    eventbrite,
    loyalty_lines,
    warehouse_events,
    minor_units,
    wide_dump,
    hotel,
    headless,
)
