"""Words in column names, in several languages, that support a role; values decide first."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache


def split_words(text: str) -> list[str]:
    """Split a list of words.

    Args:
        text: Words with blanks between them.

    Returns:
        Words.
    """
    return text.split()


# Stems are parts of names, see ColumnName.has; words are whole words.
_CUSTOMER = split_words(
    "customer client kunde kunden kund cliente klant usuario utilisateur benutzer nutzer mitglied membre miembro "
    "buyer kaufer "
    "iban konto klant counterparty payee auftraggeber zahlungspflicht beguenstigt begunstigt ordenante "
    "kaeufer acheteur comprador acquirente shopper subscriber abonnent patron donor household haushalt klient "
    "konsument consumer debitor debtor musteri kupujici zakaznik asiakas adherent afnemer koper"
)
_CUSTOMER_WORDS = split_words(
    "user users uid member members socio cust account acct payer patient guest contact card who person "
    "dni nif msisdn constituent"
)
_EMAIL = split_words("email mail correo courriel epost")
_ORDER = split_words(
    "order invoice bestell rechnung factura facture pedido commande receipt basket transaction invoic auftrag beleg "
    "bestilling ordine fattura zamowieni faktura ticket checkout purchaseid purchaseno quittung"
)
_ORDER_WORDS = split_words("txn bon cart trans tx")
_OTHER = split_words(
    "product produkt producto produit prodotto produto item sku stock article artikel articulo articolo store filiale "
    "branch warehouse seller vendor merchant employee cashier session coupon voucher campaign category kategorie "
    "brand description beschreibung country land pais pays city stadt region state postal postcode zip address "
    "adresse street phone telefon gender segment language browser device channel kanal terminal table register comment"
)
_OTHER_WORDS = split_words(
    "shop line row index desc note type status age birthday lat lon ip url code payment group level tier rep"
)
_ATTRIBUTES = split_words(
    "city country region state zip postal postcode address street phone age gender segment type group status since "
    "birth name first last lat lon land tier level language count class"
)
_ID_WORDS = split_words("id ids no nr num number nummer numero key code uuid guid hash ref identifier kennung")
_TOTAL = split_words(
    "amount total revenue sales umsatz betrag summe montant importe importo valor valore value gross paid spend spent "
    "turnover bedrag kwota gesamt subtotal charge belop belob summa tutar toplam netto brutto"
)
_TOTAL_WORDS = split_words("net sum ca gmv amt payment")
_PRICE = split_words("price preis prix precio prezzo preco prijs cena pris unitcost fiyat hinta einzel tarif fare")
_PRICE_WORDS = split_words("unit rate each")
_QUANTITY = split_words(
    "quantity quantit menge anzahl cantidad quantidade aantal ilosc antal units pieces stuck stueck kolicina miktar"
)
_QUANTITY_WORDS = split_words("qty n count pcs qte kpl units pieces items")
_NO_MONEY = split_words(
    "discount rabatt remise descuento sconto tax vat mwst steuer iva tva shipping versand freight fracht fee tip "
    "profit margin balance saldo rating score percent quote weight gewicht latitude longitude points year month day "
    "kontostand due fees hour week miles exchange tenure age installment refund refunded"
)
_INCLUDING = split_words(
    "incl including inkl excl excluding exkl with without before after net gross ttc ht ex exc inc hors"
)
_PHONE = split_words("phone telefon telephone mobile handy")
_FEES = split_words("fee fees commission gebuhr gebuehr frais")
_CREDIT = split_words("credit kredit haben gutschrift credito abono abonos ingreso ingresos avere deposit deposits")
_CREDIT_WORDS = split_words("in bij inflow")
_DEBIT = split_words("debit soll lastschrift debito cargo cargos adeudo dare withdrawal withdrawals retrait")
_DEBIT_WORDS = split_words("out af outflow")
_MINOR_UNITS = split_words("cents cent minor pence centimes centavos ore kopecks")
_DATES = split_words("date datum fecha time data zeit dato")
_DATE_WORDS = split_words("when day ts dt tag dia jour")
_TIME_FIRST = split_words(
    "order invoice purchase transaction created buy bought sale sold kauf bestell rechnung compra achat pedido "
    "commande placed event when"
)
_TIME_PAID = split_words("paid payment booking buchung processed captured")
_TIME_LATER = split_words(
    "ship deliver update modif due birth signup register refund cancel return versand liefer expire valid settle "
    "fulfil due approved estimated first last export load since join start end closed"
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
        """Return whether the name has a stem, or one of the words as a whole.

        Args:
            stems: Parts of a name.
            words: Whole words.

        Returns:
            True if one is found.
        """
        return any(self._contains(stem) for stem in stems) or any(word in self.words for word in words)

    def _contains(self, stem: str) -> bool:
        """Return whether a stem occurs: a long one anywhere, a short one at an end of a word, three letters as a word.

        Short stems occur by chance: state in statement, tva in payment_value.
        """
        if len(stem) > 5:
            return stem in self.letters
        if len(stem) > 3:
            return any(word.startswith(stem) or word.endswith(stem) for word in self.words)
        return stem in self.words

    @property
    def is_id(self) -> bool:
        """Return whether the name ends or begins with a word for an id."""
        if self._has_id_word:
            return True
        return self.letters.endswith(("id", "nr", "no", "key", "nummer")) and not self.letters.endswith("paid")

    @property
    def _has_id_word(self) -> bool:
        return bool(set(self.words) & set(_ID_WORDS))

    @property
    def customer_support(self) -> int:
        """Return the support for a customer id: 3 strong, 2 email, 1 an unspecified id, 0 none, -1 another thing."""
        customer = self.has(_CUSTOMER, _CUSTOMER_WORDS) or self.letters in ("userid", "custid", "accountid", "memberid")
        other = self.is_order or self.is_other
        is_money = self.has((*_TOTAL, *_PRICE), _TOTAL_WORDS) and not self.is_id
        if customer and self.has(_PHONE):
            return 1
        if self.is_fee and not self._has_id_word:
            return -1
        if customer and not is_money and self._ends_with_customer():
            attribute = any(word in self.words for word in _ATTRIBUTES)
            return 1 if attribute and not self.is_id else 3
        if self.has(_EMAIL):
            return 2
        if other or is_money or self.has(_NO_MONEY):
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
        if self.has(_NO_MONEY) and not self.has((), _INCLUDING):
            return "none"
        quantity = self.has(_QUANTITY, _QUANTITY_WORDS)
        price = self.has(_PRICE, _PRICE_WORDS)
        if quantity and not price:
            return "quantity"
        total = self.has(_TOTAL, _TOTAL_WORDS) and not self._has_id_word
        if total and not (price and "unit" in self.letters):
            return "total"
        if price:
            return "price"
        if self.is_id or self.is_order or self.is_other or self.customer_support > 0:
            return "none"
        return ""

    @property
    def time_support(self) -> int:
        """Return the support for the time of purchase: 2 for it, 1 of its payment, -1 for another time, 0 none."""
        if self.has(_TIME_LATER):
            return -1
        return 2 if self.has(_TIME_FIRST) else int(self.has(_TIME_PAID))

    @property
    def is_status(self) -> bool:
        """Return whether the name is that of a status."""
        return self.has(["status", "zustand", "estado", "statut", "situacao", "estatus", "stato"], ["state", "etat"])

    @property
    def is_kind(self) -> bool:
        """Return whether the name is that of a kind of transaction."""
        return self.has(["event", "vorgang"], ["type", "kind", "art", "action", "tipo", "typ", "soort"])

    @property
    def is_fee(self) -> bool:
        """Return whether the name is that of a fee that the seller pays."""
        return self.has(_FEES)

    @property
    def is_credit(self) -> bool:
        """Return whether the name is that of the money that an account receives."""
        return self.has(_CREDIT, _CREDIT_WORDS)

    @property
    def is_debit(self) -> bool:
        """Return whether the name is that of the money that leaves an account."""
        return self.has(_DEBIT, _DEBIT_WORDS)

    @property
    def is_minor_unit(self) -> bool:
        """Return whether the name is that of cents, pence or another smallest unit of money."""
        return self.has((), _MINOR_UNITS)

    @property
    def is_date(self) -> bool:
        """Return whether the name is that of a date or time."""
        return self.has(_DATES, _DATE_WORDS)

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
