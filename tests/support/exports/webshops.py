"""Exports of web shops and marketplaces."""

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


def shopware(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    state = pick(rng, len(o), completed=0.8, in_progress=0.1, cancelled=0.1)
    state = np.char.replace(state.astype(str), " ", "_")
    email = [f"{PEOPLE[c].replace(' ', '.').lower()}@example.org" for c in o.customer]
    columns = {
        "id": [f"{i * 7919 % 16**8:08x}018f3c" for i in o.order],
        "orderNumber": o.order + 10001,
        "orderDateTime": o.time.dt.strftime("%Y-%m-%dT%H:%M:%S.000+00:00"),
        "orderCustomer.email": email,
        "orderCustomer.customerNumber": o.customer + 20000,
        "amountTotal": o.total,
        "amountNet": (o.total / 1.19).round(2),
        "shippingTotal": 0,
        "currency.isoCode": "EUR",
        "stateMachineState.technicalName": state,
    }
    is_sale = state != "cancelled"
    tables = [make_table(ids, o.time, o.total, is_sale) for ids in (o.customer + 20000, email)]
    return write_csv("orders.csv", columns, *tables, separator=";")


def prestashop(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    status = pick(rng, len(o), Delivered=0.7, Payment_accepted=0.1, Shipped=0.1, Canceled=0.06, Payment_error=0.04)
    names = [f"{PEOPLE[c][0]}. {PEOPLE[c].split()[1].upper()}" for c in o.customer]
    columns = {
        "ID": o.order + 1,
        "Reference": ["".join(chr(65 + int(x)) for x in rng.integers(0, 26, 9)) for _ in o.order],
        "New client": np.where(o.customer.duplicated(), "No", "Yes"),
        "Delivery": pick(rng, len(o), France=0.8, Belgium=0.2),
        "Customer": names,
        "Total": money(o.total, before="€", group=","),
        "Payment": pick(rng, len(o), Bank_transfer=0.3, PayPal=0.7),
        "Status": status,
        "Date": o.time.dt.strftime("%Y-%m-%d %H:%M:%S"),
    }
    is_sale = ~np.isin(status, ["Canceled", "Payment error"])
    return write_csv("order_export.csv", columns, make_table(names, o.time, o.total, is_sale), separator=";")


def amazon_orders_without_buyer(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    columns = {
        "amazon-order-id": [f"302-{i * 7919 % 10**7:07d}-{i * 104729 % 10**7:07d}" for i in o.order],
        "purchase-date": o.time.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        "last-updated-date": o.time.dt.strftime("%Y-%m-%dT23:59:00+00:00"),
        "order-status": pick(rng, len(o), Shipped=0.9, Cancelled=0.1),
        "fulfillment-channel": "Amazon",
        "sku": o["product"] + 4000,
        "asin": [f"B0{p * 31337 % 10**8:08d}" for p in o["product"]],
        "quantity": o.quantity,
        "currency": "EUR",
        "item-price": o.total,
        "item-tax": (o.total * 0.16).round(2),
        "ship-city": pick(rng, len(o), Berlin=1, Paris=1, Madrid=1, Rome=1, Graz=1),
        "ship-postal-code": rng.integers(10000, 10060, len(o)),
        "ship-country": pick(rng, len(o), DE=0.6, FR=0.4),
    }
    return write_csv("all-orders.txt", columns, separator="\t")


def amazon_shipments(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    email = [f"{c * 2654435761 % 36**6:06x}q@marketplace.amazon.de" for c in o.customer]
    columns = {
        "amazon-order-id": [f"302-{i * 7919 % 10**7:07d}-{i * 104729 % 10**7:07d}" for i in o.order],
        "merchant-order-id": "",
        "shipment-id": [f"D{i * 31 + 77}" for i in range(len(o))],
        "purchase-date": o.time.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        "shipment-date": (o.time + np.timedelta64(1, "D")).dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        "buyer-email": email,
        "buyer-name": [PEOPLE[c] for c in o.customer],
        "sku": o["product"] + 4000,
        "product-name": [PRODUCTS[p] for p in o["product"]],
        "quantity-shipped": o.quantity,
        "currency": "EUR",
        "item-price": o.total,
        "item-tax": (o.total * 0.16).round(2),
        "shipping-price": 0.0,
    }
    return write_csv("shipments.txt", columns, make_table(email, o.time, o.total), separator="\t")


def ebay(rng: np.random.Generator) -> Export:
    o = make_lines(rng, lines=1)
    shipping = np.where(rng.random(len(o)) < 0.5, 4.99, 0.0)
    users = [f"{PEOPLE[c].split()[1].lower()}_{c}" for c in o.customer]
    columns = {
        "Sales Record Number": o.order + 1500,
        "Order Number": [f"{i % 30:02d}-{i * 7919 % 10**5:05d}-{i * 31 % 10**5:05d}" for i in o.order],
        "Buyer Username": users,
        "Buyer Name": [PEOPLE[c] for c in o.customer],
        "Item Title": [PRODUCTS[p] for p in o["product"]],
        "Quantity": o.quantity,
        "Sold For": money(o.price, before="$"),
        "Shipping And Handling": money(shipping, before="$"),
        "Total Price": money(o.total + shipping, before="$"),
        "Payment Method": "PayPal",
        "Sale Date": o.time.dt.strftime("%b-%d-%y"),
        "Paid On Date": (o.time + np.timedelta64(1, "D")).dt.strftime("%b-%d-%y"),
    }
    days = o.time.dt.normalize()
    tables = (make_table(users, days, o.total + shipping), make_table(users, days, o.total))
    return write_csv(
        "eBay-OrdersReport.csv",
        columns,
        *tables,
        quote_all=True,
        above="\n",
        below=f'\n"{len(o)}","record(s) downloaded,"\n',
    )


def etsy(rng: np.random.Generator) -> Export:
    o = make_orders(rng)
    shipping, tax = np.where(rng.random(len(o)) < 0.6, 5.5, 0.0), (o.total * 0.07).round(2)
    paid, fees = (o.total + shipping + tax).round(2), (o.total * 0.04).round(2)
    columns = {
        "Sale Date": o.time.dt.strftime("%m/%d/%y"),
        "Order ID": o.order * 977 + 2890000000,
        "Buyer User ID": o.customer * 7 + 81000,
        "Full Name": [PEOPLE[c] for c in o.customer],
        "Number of Items": rng.integers(1, 4, len(o)),
        "Payment Method": "Credit Card",
        "Date Shipped": (o.time + np.timedelta64(2, "D")).dt.strftime("%m/%d/%y"),
        "Ship State": pick(rng, len(o), CA=0.4, NY=0.3, TX=0.3),
        "Currency": "USD",
        "Order Value": o.total,
        "Discount Amount": 0.0,
        "Shipping": shipping,
        "Sales Tax": tax,
        "Order Total": paid,
        "Card Processing Fees": fees,
        "Order Net": (paid - fees).round(2),
    }
    tables = [make_table(o.customer * 7 + 81000, o.time.dt.normalize(), amount) for amount in (paid, o.total)]
    return write_csv("EtsySoldOrders2023.csv", columns, *tables)


def allegro(rng: np.random.Generator) -> Export:
    o = make_lines(rng, lines=1)
    logins = [f"{PEOPLE[c].split()[0].lower()}{c}" for c in o.customer]
    columns = {
        "Data zakupu": o.time.dt.strftime("%d.%m.%Y %H:%M"),
        "Login kupującego": logins,
        "Numer oferty": o["product"] * 13 + 9000000,
        "Nazwa": pick(rng, len(o), łóżko=1, półka=1, świeca=1),
        "Liczba sztuk": o.quantity,
        "Cena": money(o.price, ",", after=" zł"),
        "Wartość": money(o.total, ",", after=" zł"),
        "Metoda dostawy": pick(rng, len(o), Paczkomat=0.5, Kurier=0.5),
    }
    return write_csv("sprzedaz.csv", columns, make_table(logins, o.time, o.total), separator=";", encoding="cp1250")


def nuvemshop(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    email = [f"{PEOPLE[c].split()[0].lower()}{c}@exemplo.com.br" for c in o.customer]
    first = o["first"].to_numpy()
    blank = lambda values: np.where(first, np.asarray(values, dtype=object), "")  # noqa: E731
    columns = {
        "Número do Pedido": o.order + 300,
        "E-mail": email,
        "Data": o.time.dt.strftime("%d/%m/%Y %H:%M:%S"),
        "Status do Pedido": blank(np.full(len(o), "Arquivado")),
        "Moeda": blank(np.full(len(o), "BRL")),
        "Total": blank(money(o.order_total, ",", ".")),
        "Nome do Produto": [PRODUCTS[p] for p in o["product"]],
        "Valor do Produto": money(o.price, ",", "."),
        "Quantidade Comprada": o.quantity,
    }
    tables = (make_table(email, o.time, o.order_total, first), make_table(email, o.time, o.total))
    return write_csv("vendas.csv", columns, *tables, separator=";", encoding="cp1252")


def japanese_mall(rng: np.random.Generator) -> Export:
    o = make_lines(rng)
    price = (o.price * 100).round().astype(int)
    member = [f"M{c:05d}" for c in o.customer]
    columns = {
        "注文番号": [f"{278000 + i}-2023" for i in o.order],
        "注文日時": o.time.dt.strftime("%Y/%m/%d %H:%M:%S"),
        "会員ID": member,
        "商品名": [f"商品{p}" for p in o["product"]],
        "単価": price,
        "数量": o.quantity,
        "小計": price * o.quantity,
    }
    return write_csv("juchu.csv", columns, make_table(member, o.time, price * o.quantity), encoding="cp932")


WEBSHOPS = (
    shopware,
    prestashop,
    amazon_orders_without_buyer,
    amazon_shipments,
    ebay,
    etsy,
    allegro,
    nuvemshop,
    japanese_mall,
)
