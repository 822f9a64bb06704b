"""Words in column names, in several languages, that support a role; values decide first."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache


def _words(text: str) -> list[str]:
    return text.split()


# A stem matches anywhere in the letters of a name; a word only as a whole word.
_CUSTOMER = _words(
    "customer client kunde kund cliente klant usuario utilisateur benutzer nutzer mitglied membre miembro buyer kaufer "
    "kaeufer acheteur comprador acquirente shopper subscriber abonnent patron donor household haushalt klient "
    "konsument consumer debitor debtor musteri kupujici zakaznik asiakas adherent afnemer koper"
)
_CUSTOMER_WORDS = _words(
    "user users uid member members socio cust account acct payer patient guest contact card who person"
)
_EMAIL = _words("email mail correo courriel epost")
_ORDER = _words(
    "order invoice bestell rechnung factura facture pedido commande receipt basket transaction invoic auftrag beleg "
    "bestilling ordine fattura zamowieni faktura ticket checkout purchaseid purchaseno quittung"
)
_ORDER_WORDS = _words("txn bon cart trans tx")
_OTHER = _words(
    "product produkt producto produit prodotto produto item sku stock article artikel articulo articolo store filiale "
    "branch warehouse seller vendor merchant employee cashier session coupon voucher campaign category kategorie "
    "brand description beschreibung country land pais pays city stadt region state postal postcode zip address "
    "adresse street phone telefon gender segment language browser device channel kanal terminal table register comment"
)
_OTHER_WORDS = _words(
    "shop line row index desc note type status age birthday lat lon ip url code payment group level tier rep"
)
_ATTRIBUTES = _words(
    "city country region state zip postal postcode address street phone age gender segment type group status since "
    "birth name first last lat lon land tier level language count class"
)
_ID_WORDS = _words("id ids no nr num number nummer numero key code uuid guid hash ref identifier kennung")
_TOTAL = _words(
    "amount total revenue sales umsatz betrag summe montant importe importo valor valore value gross paid spend spent "
    "turnover bedrag kwota gesamt subtotal charge belop belob summa tutar toplam netto brutto"
)
_TOTAL_WORDS = _words("net sum ca gmv amt payment")
_PRICE = _words("price preis prix precio prezzo preco prijs cena pris unitcost fiyat hinta einzel tarif")
_PRICE_WORDS = _words("unit rate each")
_QUANTITY = _words(
    "quantity quantit menge anzahl cantidad quantidade aantal ilosc antal units pieces stuck stueck kolicina miktar"
)
_QUANTITY_WORDS = _words("qty n count pcs qte kpl units pieces items")
_NO_MONEY = _words(
    "discount rabatt remise descuento sconto tax vat mwst steuer iva tva shipping versand freight fracht fee tip "
    "profit margin balance saldo rating score percent quote weight gewicht latitude longitude points year month day "
    "hour week exchange tenure age installment"
)
_TIME_FIRST = _words(
    "order invoice purchase transaction created buy bought sale sold kauf bestell rechnung compra achat pedido "
    "commande paid payment placed booking buchung event when"
)
_TIME_LATER = _words(
    "ship deliver update modif due birth signup register refund cancel return versand liefer expire valid settle "
    "fulfil approved estimated first last export load since join start end closed"
)


@dataclass(frozen=True)
class ColumnName:
    """Name of a column with its words.

    Attributes:
        text: Name as in the source.
        words: Lower-case ASCII words.
        letters: Words without separators.
    """

    text: str
    words: tuple[str, ...]
    letters: str

    def has(self, stems: Sequence[str], words: Sequence[str] = ()) -> bool:
        """Return whether the name contains a stem, or one of the words as a whole.

        Args:
            stems: Parts of a name.
            words: Whole words.

        Returns:
            True if one is found.
        """
        return any(stem in self.letters for stem in stems) or any(word in self.words for word in words)

    @property
    def is_id(self) -> bool:
        """Return whether the name ends or begins with a word for an id."""
        return bool(set(self.words) & set(_ID_WORDS)) or self.letters.endswith(("id", "nr", "no", "key", "nummer"))

    @property
    def customer_support(self) -> int:
        """Return the support for a customer id: 3 strong, 2 email, 1 an unspecified id, 0 none, -1 another thing."""
        customer = self.has(_CUSTOMER, _CUSTOMER_WORDS) or self.letters in ("userid", "custid", "accountid", "memberid")
        other = self.is_order or self.is_other
        if customer and self._ends_with_customer():
            attribute = any(word in self.words for word in _ATTRIBUTES)
            return 1 if attribute and not self.is_id else 3
        if self.has(_EMAIL):
            return 2
        if other or self.has(_NO_MONEY):
            return -1
        return 1 if self.letters in _ID_WORDS else 0

    def _ends_with_customer(self) -> bool:
        """Return whether the customer is the head of a compound: order_customer_id is, customer_order_id is not."""
        if not (self.is_order or self.is_other):
            return True
        customers = [self.letters.rfind(stem) for stem in (*_CUSTOMER, *_CUSTOMER_WORDS)]
        others = [self.letters.rfind(stem) for stem in (*_ORDER, *_ORDER_WORDS, *_OTHER)]
        return max(customers) >= max(others)

    @property
    def is_order(self) -> bool:
        """Return whether the name is that of an order, invoice or receipt."""
        return self.has(_ORDER, _ORDER_WORDS)

    @property
    def is_other(self) -> bool:
        """Return whether the name is that of a product, store, place or attribute."""
        return self.has(_OTHER, _OTHER_WORDS)

    @property
    def amount_class(self) -> str:
        """Return the kind of number: ``quantity``, ``price``, ``total``, ``none`` (no money), or "" (unknown)."""
        if self.has(_NO_MONEY) and not self.has(["amount", "betrag"]):
            return "none"
        quantity = self.has(_QUANTITY, _QUANTITY_WORDS)
        price = self.has(_PRICE, _PRICE_WORDS)
        if quantity and not price:
            return "quantity"
        total = self.has(_TOTAL, _TOTAL_WORDS)
        if total and not (price and "unit" in self.letters):
            return "total"
        if price:
            return "price"
        if self.is_id or self.is_order or self.is_other or self.customer_support > 0:
            return "none"
        return ""

    @property
    def time_support(self) -> int:
        """Return the support for the time of purchase: 1 for it, -1 for another time, 0 none."""
        if self.has(_TIME_LATER):
            return -1
        return int(self.has(_TIME_FIRST))

    @property
    def is_status(self) -> bool:
        """Return whether the name is that of a status."""
        return self.has(["status", "zustand", "estado", "statut"], ["state"])

    @property
    def is_currency(self) -> bool:
        """Return whether the name is that of a currency."""
        return self.has(["currency", "wahrung", "waehrung", "moneda", "devise", "valuta"], ["ccy", "cur"])

    @property
    def is_product(self) -> bool:
        """Return whether the name is that of a product."""
        return self.has(_OTHER[:13])


@lru_cache(maxsize=4096)
def split_name(text: str) -> ColumnName:
    """Split the name of a column into words.

    Args:
        text: Name as in the source.

    Returns:
        Name with its words: ``CustomerID`` has ``customer`` and ``id``.
    """
    ascii_text = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", ascii_text)
    words = tuple(word.lower() for word in re.findall(r"[A-Za-z]+|[0-9]+", spaced))
    return ColumnName(text, words, "".join(words))
