"""Source of each field: a column, several columns, or a constant."""

import math
from datetime import date, datetime
from typing import Annotated, Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator


class StrictModel(BaseModel):
    """Part of a mapping: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ColumnName = Annotated[str, Field(min_length=1)]


class Constant(StrictModel):
    """One value for all rows."""

    constant: str

    @field_validator("constant", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            raise ValueError("must be a number, a date or a text")
        if isinstance(value, date | datetime):
            return value.isoformat()
        return str(value).strip() if isinstance(value, int | float | str) else value


class FirstOf(StrictModel):
    """The first column of several that has a value in the row."""

    first_of: tuple[ColumnName, ...] = Field(min_length=2)


class AmountSum(StrictModel):
    """Amount of several columns: product, less its discount, plus and minus other columns.

    A blank value counts 0 where another part of the row is present; a product needs all of its factors.

    Attributes:
        multiply: Factors of the product.
        discount_rate: Share of the product that is taken off, between 0 and 1 or with a percent sign.
        add: Columns to add.
        subtract: Columns to subtract.
    """

    multiply: tuple[ColumnName, ...] = ()
    discount_rate: ColumnName | None = None
    add: tuple[ColumnName, ...] = ()
    subtract: tuple[ColumnName, ...] = ()

    @field_validator("multiply", "add", "subtract", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _require_parts(self) -> Self:
        names = self.columns
        if len(set(names)) < len(names):
            raise ValueError("a column is named twice")
        if not self.multiply and not self.add:
            raise ValueError("needs multiply or add")
        if self.discount_rate and not self.multiply:
            raise ValueError("discount_rate is taken off a product: name the price, and its quantity, under multiply")
        if len(names) == 1:
            raise ValueError("needs two columns or more; one column is written as its name alone")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns."""
        rate = (self.discount_rate,) if self.discount_rate else ()
        return (*self.multiply, *rate, *self.add, *self.subtract)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "column"
    for kind, model in (("constant", Constant), ("first_of", FirstOf)):
        if isinstance(value, model) or (isinstance(value, dict) and kind in value):
            return kind
    if isinstance(value, AmountSum | dict):
        return "sum"
    return "columns" if isinstance(value, list | tuple) else "column"


_Name = Annotated[ColumnName, Tag("column")]
_Names = Annotated[tuple[ColumnName, ...], Field(min_length=2), Tag("columns")]
_Constant = Annotated[Constant, Tag("constant")]
_FirstOf = Annotated[FirstOf, Tag("first_of")]
_Sum = Annotated[AmountSum, Tag("sum")]
ColumnSource = str | tuple[str, ...] | Constant | FirstOf | AmountSum
ATTRIBUTE = "attributes."  # before the name of an attribute in a field
_NUMBERS = frozenset({"amount", "quantity", "unit_price"})


class Columns(StrictModel):
    """Source of each field; :mod:`holdfast.ingestion.mapping_kinds` has the fields of each kind of source.

    Attributes:
        customer_id: Column, columns that make an id together, or the first of several columns.
        event_timestamp: Column, columns that are joined by a blank (date and time), first of several columns, or a
            constant.
        amount: Column, columns to multiply, add and subtract, or a constant.
        quantity: Column or constant.
        unit_price: Column or constant.
        currency: Column with the currency of the amounts.
        source: Column or constant with the name of the shop, till or system of a transaction.
        attributes: Column or constant of each attribute, by the name of the attribute.
        attribute: Column with the name of the attribute, where a row has one attribute.
        kind: Column or constant with the kind of the event.
        value: Column with the value of the attribute, or with the number of the event.
    """

    customer_id: Annotated[_Name | _Names | _FirstOf, Discriminator(_kind)]
    event_timestamp: Annotated[_Name | _Names | _FirstOf | _Constant, Discriminator(_kind)]
    amount: Annotated[_Name | _Sum | _Constant, Discriminator(_kind)] | None = None
    quantity: Annotated[_Name | _Constant, Discriminator(_kind)] | None = None
    unit_price: Annotated[_Name | _Constant, Discriminator(_kind)] | None = None
    currency: ColumnName | None = None
    source: Annotated[_Name | _Constant, Discriminator(_kind)] | None = None
    attributes: (
        Annotated[
            dict[ColumnName, Annotated[_Name | _Constant, Discriminator(_kind)]],
            Field(min_length=1),
        ]
        | None
    ) = None
    attribute: ColumnName | None = None
    kind: Annotated[_Name | _Constant, Discriminator(_kind)] | None = None
    value: ColumnName | None = None

    @model_validator(mode="after")
    def _require_distinct_columns(self) -> Self:
        for field, source in self.by_field.items():
            if isinstance(source, Constant):
                _check_constant(field, source.constant)
        names = [name for source in self.by_field.values() for name in column_names(source)]
        if isinstance(self.amount, AmountSum) and self.quantity in self.amount.multiply:
            names.remove(str(self.quantity))
        if len(set(names)) < len(names):
            raise ValueError("two fields are mapped to the same column: map each field to a different column")
        return self

    @property
    def by_field(self) -> dict[str, ColumnSource]:
        """Return the source of each mapped field; an attribute is a field ``attributes.NAME``."""
        sources = {field: source for field, source in self if source is not None and field != "attributes"}
        return sources | {f"{ATTRIBUTE}{name}": source for name, source in (self.attributes or {}).items()}

    @property
    def amount_columns(self) -> tuple[str, ...]:
        """Return the columns of the amount, empty for quantity and unit price."""
        return () if self.amount is None else column_names(self.amount)


def _check_constant(field: str, text: str) -> None:
    if field == "event_timestamp":
        if pd.isna(pd.to_datetime(text, format="ISO8601", errors="coerce")):
            raise ValueError(f"{field}: the constant {text!r} is not an ISO 8601 time")
        return
    if field not in _NUMBERS:
        if not text:
            raise ValueError(f"{field}: the constant is empty")
        return
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{field}: the constant {text!r} is not a number")


def column_names(source: ColumnSource) -> tuple[str, ...]:
    """Return the columns of a field.

    Args:
        source: Source of the field.

    Returns:
        Names, none for a constant.
    """
    if isinstance(source, str):
        return (source,)
    if isinstance(source, AmountSum):
        return source.columns
    if isinstance(source, FirstOf):
        return source.first_of
    return () if isinstance(source, Constant) else source
