"""ISO 4217 currency codes, symbols of currencies, and their decimal places."""

import re
import unicodedata

# Codes of ISO 4217 (2024) and those of the currencies before the euro, without metals, funds and test codes.
_CODES_TEXT = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH
UGX USD UYU UYW UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG DEM FRF ITL ESP NLG ATS BEF FIM IEP PTE
GRD HRK LTL LVL EEK SKK SIT
"""
_CODES = frozenset(_CODES_TEXT.split())

# A symbol that several currencies share stands for the most traded of them, unless a code beside it names another one.
_SYMBOLS = {
    "$": "USD", "us$": "USD", "ca$": "CAD", "c$": "CAD", "can$": "CAD", "a$": "AUD", "au$": "AUD", "nz$": "NZD",
    "hk$": "HKD", "s$": "SGD", "sg$": "SGD", "nt$": "TWD", "mx$": "MXN", "r$": "BRL", "€": "EUR", "euro": "EUR",
    "euros": "EUR", "£": "GBP", "¥": "JPY", "￥": "JPY", "円": "JPY", "yen": "JPY", "元": "CNY", "cn¥": "CNY",
    "rmb": "CNY", "₩": "KRW", "₹": "INR", "rs": "INR", "rs.": "INR", "₽": "RUB", "руб": "RUB", "руб.": "RUB",
    "₺": "TRY", "tl": "TRY", "₴": "UAH", "₫": "VND", "฿": "THB", "₱": "PHP", "₦": "NGN", "₪": "ILS", "₡": "CRC",
    "₲": "PYG", "₵": "GHS", "₸": "KZT", "₾": "GEL", "₼": "AZN", "৳": "BDT", "៛": "KHR", "₮": "MNT", "₭": "LAK",
    "kr": "SEK", "kr.": "SEK", "zł": "PLN", "zl": "PLN", "kč": "CZK", "ft": "HUF", "lei": "RON", "лв": "BGN",
    "лв.": "BGN", "sfr": "CHF", "sfr.": "CHF", "fr": "CHF", "fr.": "CHF", "s/": "PEN", "s/.": "PEN", "rp": "IDR",
    "rm": "MYR", "r": "ZAR",
}  # fmt: skip

_SHARED_TEXT = """
$   USD CAD AUD NZD HKD SGD TWD MXN ARS CLP COP UYU BSD BBD BMD BND BZD FJD GYD JMD KYD LRD NAD SBD SRD TTD
£   GBP EGP GIP FKP SHP LBP SYP SDG SSP
¥   JPY CNY
kr  SEK NOK DKK ISK
rs  INR PKR LKR NPR MUR SCR
fr  CHF XAF XOF XPF DJF GNF RWF BIF KMF FRF BEF
₩   KRW KPW
"""
_SHARED_SYMBOLS = {line.split()[0]: frozenset(line.split()[1:]) for line in _SHARED_TEXT.strip().splitlines()}
_SHARED_SYMBOLS |= {"￥": _SHARED_SYMBOLS["¥"]} | {f"{name}.": _SHARED_SYMBOLS[name] for name in ("kr", "rs", "fr")}
_CENT_SIGN = "¢"  # a hundredth of a currency, which a column of whole units does not show

_COLUMN_NAMES = re.compile(
    "(iso[ _-]?)?(currency|curr|ccy|devise|w(ä|ae)hrung|moneda|divisa|moeda|valuta|waluta)([ _-]?code)?", re.IGNORECASE
)
_ZERO_PLACES = re.compile("BIF|CLP|DJF|GNF|ISK|JPY|KMF|KRW|PYG|RWF|UGX|VND|VUV|XAF|XOF|XPF")
_THREE_PLACES = re.compile("BHD|IQD|JOD|KWD|LYD|OMR|TND")


def find_currency(text: str) -> str | None:
    """Find the currency that a code or symbol stands for.

    Args:
        text: Code or symbol, in any case.

    Returns:
        ISO 4217 code; for a currency symbol without a known code, the symbol; None for other text.
    """
    text = text.strip()
    if text.upper() in _CODES:
        return text.upper()
    if len(text) == 1 and text not in _SYMBOLS and is_currency_symbol(text):
        return text if text != _CENT_SIGN else None
    return _SYMBOLS.get(text.lower())


def find_shared_symbol(text: str) -> str | None:
    """Find the currency symbol in a text that several currencies share.

    Args:
        text: Symbol, in any case.

    Returns:
        The symbol in lower case; None for other text.
    """
    text = text.strip().lower()
    return text if text in _SHARED_SYMBOLS else None


def currencies_of_symbol(symbol: str) -> frozenset[str]:
    """Return the currencies that share a symbol.

    Args:
        symbol: Shared symbol, or an ISO 4217 code.

    Returns:
        ISO 4217 codes; empty for a code.
    """
    return _SHARED_SYMBOLS.get(symbol, frozenset())


def is_currency_name(name: str) -> bool:
    """Check the name of a column.

    Args:
        name: Name of the column.

    Returns:
        True for the word currency in one of the common languages, in a short form or with the word code.
    """
    return _COLUMN_NAMES.fullmatch(name.strip()) is not None


def is_currency_symbol(character: str) -> bool:
    """Check the Unicode category of a character.

    Args:
        character: One character.

    Returns:
        True for a currency symbol (category Sc).
    """
    return unicodedata.category(character) == "Sc"


def decimal_places(code: str) -> int:
    """Return the decimal places of a currency.

    Args:
        code: ISO 4217 code.

    Returns:
        Digits of the minor unit: 2 for most currencies.
    """
    if _ZERO_PLACES.fullmatch(code):
        return 0
    return 3 if _THREE_PLACES.fullmatch(code) else 4 if code in {"CLF", "UYW"} else 2
