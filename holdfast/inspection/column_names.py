"""Column names: words, and the roles that they support; values decide first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from holdfast.inspection import words as w

_OTHERS = (*w.ORDER, *w.ORDER_WORDS, *w.OTHER)


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

        Short stems occur by chance: state in statement, tva in payment_value; in other scripts they are whole words.
        """
        if len(stem) > 5 or not stem.isascii():
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
        return bool(set(self.words) & set(w.ID_WORDS))

    @property
    def customer_support(self) -> int:
        """Return the support for a customer id: 3 strong, 2 email, 1 an unspecified id, 0 none, -1 another thing."""
        customer = self.has(w.CUSTOMER, w.CUSTOMER_WORDS) or self.letters in w.CUSTOMER_IDS
        other = self.is_order or self.is_other
        is_money = self.has((*w.TOTAL, *w.PRICE), w.TOTAL_WORDS) and not self.is_id
        if customer and self.has(w.PHONE):
            return 1
        if self.is_fee and not self._has_id_word:
            return -1
        if customer and not is_money and self._ends_with_customer():
            return 1 if self._is_attribute() else 3
        if self.has(w.EMAIL):
            return 2
        if other or is_money or self.has(w.NO_MONEY):
            return -1
        return 1 if self.letters in w.ID_WORDS else 0

    def _is_attribute(self) -> bool:
        """Return whether the name is that of an attribute of customers: client_group_id, Kundengruppe, Shopper IP."""
        heads = [word for word in self.words if word not in w.ID_WORDS]
        if heads and (heads[-1] in w.ATTRIBUTES or heads[-1].endswith(w.ATTRIBUTE_ENDINGS)):
            return True
        return not self.is_id and any(word in self.words for word in w.ATTRIBUTES)

    def _ends_with_customer(self) -> bool:
        """Return whether the customer is the head of a compound: order_customer_id is, customer_order_id is not."""
        if not (self.is_order or self.is_other):
            return True
        customers = [self.letters.rfind(stem) for stem in (*w.CUSTOMER, *w.CUSTOMER_WORDS)]
        others = [self.letters.rfind(stem) for stem in _OTHERS]
        return max(customers) >= max(others)

    @property
    def is_order(self) -> bool:
        """Return whether the name is that of an order, invoice or receipt."""
        return self.has(w.ORDER, w.ORDER_WORDS)

    @property
    def is_other(self) -> bool:
        """Return whether the name is that of a product, store, place or attribute."""
        return self.has(w.OTHER, w.OTHER_WORDS)

    @property
    def amount_class(self) -> str:
        """Return the kind of number: ``quantity``, ``price``, ``total``, ``none`` (no money), or "" (unknown)."""
        if self.has(w.NO_MONEY) and not self.has((), w.INCLUDING):
            return "none"
        quantity = self.has(w.QUANTITY, w.QUANTITY_WORDS)
        price = self.has(w.PRICE, w.PRICE_WORDS)
        if quantity and not price:
            return "quantity"
        total = self.has(w.TOTAL, w.TOTAL_WORDS) and not self._has_id_word
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
        if self.has(w.TIME_LATER) or self.is_close:
            return -1
        return 2 if self.has(w.TIME_FIRST) else int(self.has(w.TIME_PAID))

    @property
    def is_status(self) -> bool:
        """Return whether the name is that of a status."""
        return self.has(w.STATUS) or self.is_region_or_status

    @property
    def is_region_or_status(self) -> bool:
        """Return whether the name may be that of a status, or of a state of a country."""
        return self.has((), w.REGION_OR_STATUS) and not self.has(w.STATUS)

    @property
    def is_kind(self) -> bool:
        """Return whether the name is that of a kind of transaction."""
        return self.has((), w.KINDS)

    @property
    def is_means_of_payment(self) -> bool:
        """Return whether the name is that of a means of payment, such as a kind of card."""
        return self.has(w.MEANS_OF_PAYMENT) or any(stem in self.letters for stem in w.MEANS_OF_PAYMENT)

    @property
    def is_refund(self) -> bool:
        """Return whether the name is that of money that went back."""
        return self.has(w.REFUNDS)

    @property
    def is_return(self) -> bool:
        """Return whether the name is that of a refund or return."""
        return self.has(w.RETURN_NAMES)

    @property
    def is_fee(self) -> bool:
        """Return whether the name is that of a fee that the seller pays."""
        return self.has(w.FEES)

    @property
    def is_discount(self) -> bool:
        """Return whether the name is that of a discount."""
        return self.has(w.DISCOUNTS)

    @property
    def is_in_currency(self) -> bool:
        """Return whether the name has a currency, or the word for a cost."""
        return self.has((), w.CURRENCIES)

    @property
    def is_credit(self) -> bool:
        """Return whether the name is that of the money that an account receives."""
        return self.has(w.CREDIT, w.CREDIT_WORDS)

    @property
    def is_debit(self) -> bool:
        """Return whether the name is that of the money that leaves an account."""
        return self.has(w.DEBIT, w.DEBIT_WORDS)

    @property
    def is_minor_unit(self) -> bool:
        """Return whether the name is that of cents, pence or another smallest unit of money."""
        return self.has((), w.MINOR_UNITS)

    @property
    def is_date(self) -> bool:
        """Return whether the name is that of a date or time."""
        return self.has(w.DATES, w.DATE_WORDS) or self.is_month

    @property
    def is_month(self) -> bool:
        """Return whether the name is that of a month or of another period."""
        return self.has(w.MONTHS, w.MONTHS)

    @property
    def is_close(self) -> bool:
        """Return whether the name is that of the end of a deal, which is its purchase where it is won."""
        return self.has((), w.TIME_WON)

    @property
    def is_zone(self) -> bool:
        """Return whether the name is that of a time zone."""
        return self.letters.endswith(w.ZONES)

    @property
    def is_product(self) -> bool:
        """Return whether the name is that of a product."""
        return self.has(w.PRODUCTS)


@lru_cache(maxsize=4096)
def split_name(text: str) -> ColumnName:
    """Split the name of a column into words.

    Args:
        text: Name as in the source.

    Returns:
        Name with its words: ``CustomerID`` has ``customer`` and ``id``.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", w.to_plain_text(text))
    words = [part for word in re.findall(r"[^\W\d_]+|[0-9]+", spaced) for part in _split_ending(word.lower())]
    return ColumnName(text, tuple(words), "".join(words))


def _split_ending(word: str) -> list[str]:
    """Split a compound such as bonnr or fakturanr before its word for a number."""
    ending = next((end for end in w.NAME_ENDINGS if word.endswith(end) and len(word) > len(end) + 2), "")
    return [word.removesuffix(ending), ending] if ending else [word]
