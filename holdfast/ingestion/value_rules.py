"""Rules of a mapping for the values of a column: currencies and the form of customer ids."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from holdfast.ingestion.parsing.currency_codes import find_currency


def _check_code(value: str) -> str:
    code = find_currency(value)
    if code is None:
        raise ValueError(f"{value!r} is not an ISO 4217 code; an example: EUR")
    return code


def _check_id(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is not text; put the id in quotes")
    return str(value).strip()


CurrencyCode = Annotated[str, AfterValidator(_check_code)]
CustomerId = Annotated[str, BeforeValidator(_check_id)]


class CurrencyRule(BaseModel):
    """Treatment of amounts in several currencies.

    Attributes:
        only: Currency of the rows to ingest; rows in another currency go to quarantine.
        rates: Value of one unit of each currency in the currency of the table: amounts are multiplied by it.
        default: Currency of the rows without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    only: CurrencyCode | None = None
    rates: dict[CurrencyCode, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = None
    default: CurrencyCode | None = None

    @model_validator(mode="after")
    def _require_one_rule(self) -> Self:
        if self.only is None and self.rates is None and self.default is None:
            raise ValueError("give only, rates or default; an example: {only: EUR}")
        if self.only is not None and self.rates is not None:
            raise ValueError("give only or rates, not both")
        return self


class CustomerIdForm(BaseModel):
    """Differences in writing that do not make two customers.

    Attributes:
        case: ``lower`` or ``upper`` writes each id so.
        unicode: Unicode normalization form of each id.
        spaces: ``collapse`` makes one space of a run of blanks inside an id, ``remove`` removes blanks.
        invisible: ``remove`` removes characters without a width, such as U+200B and U+FEFF.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: Literal["keep", "lower", "upper"] = "keep"
    unicode: Literal["keep", "NFC", "NFKC"] = "keep"
    spaces: Literal["keep", "collapse", "remove"] = "keep"
    invisible: Literal["keep", "remove"] = "keep"
