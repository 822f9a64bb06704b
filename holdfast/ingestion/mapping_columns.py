"""Source of each transaction field: a column, several columns, or a constant."""

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


class AmountSum(StrictModel):
    """Amount of several columns; a blank value counts 0 where another one of the row is present."""

    add: tuple[ColumnName, ...] = Field(min_length=1)
    subtract: tuple[ColumnName, ...] = ()

    @field_validator("add", "subtract", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _require_columns_once(self) -> Self:
        names = [*self.add, *self.subtract]
        if len(set(names)) < len(names):
            raise ValueError("a column is named twice")
        if len(names) == 1:
            raise ValueError("needs two columns or more; one column is written as its name alone")
        return self


def _kind(value: Any) -> str:
    if isinstance(value, Constant) or (isinstance(value, dict) and "constant" in value):
        return "constant"
    if isinstance(value, AmountSum | dict):
        return "sum"
    return "columns" if isinstance(value, list | tuple) else "column"


_Name = Annotated[ColumnName, Tag("column")]
_Names = Annotated[tuple[ColumnName, ...], Field(min_length=2), Tag("columns")]
_Constant = Annotated[Constant, Tag("constant")]
_Sum = Annotated[AmountSum, Tag("sum")]
ColumnSource = str | tuple[str, ...] | Constant | AmountSum

KIND_TAGS = frozenset({"column", "columns", "constant", "sum"})


class Columns(StrictModel):
    """Source of each transaction field; either ``amount``, or ``quantity`` and ``unit_price``.

    Attributes:
        customer_id: Column, or columns that make an id together.
        event_timestamp: Column, columns that are joined by a blank (date and time), or a constant.
        amount: Column, columns to add and subtract, or a constant.
        quantity: Column or constant.
        unit_price: Column or constant.
        currency: Column with the currency of the amounts.
    """

    customer_id: Annotated[_Name | _Names, Discriminator(_kind)]
    event_timestamp: Annotated[_Name | _Names | _Constant, Discriminator(_kind)]
    amount: Annotated[_Name | _Sum | _Constant, Discriminator(_kind)] | None = None
    quantity: Annotated[_Name | _Constant, Discriminator(_kind)] | None = None
    unit_price: Annotated[_Name | _Constant, Discriminator(_kind)] | None = None
    currency: ColumnName | None = None

    @model_validator(mode="after")
    def _require_one_amount(self) -> Self:
        if self.amount is None and (self.quantity is None or self.unit_price is None):
            raise ValueError("map either amount, or both quantity and unit_price")
        if self.amount is not None and self.unit_price is not None:
            raise ValueError("map amount or unit_price, not both: the amount would have two sources")
        for field, source in self.by_field.items():
            if isinstance(source, Constant):
                _check_constant(field, source.constant)
        names = [name for source in self.by_field.values() for name in column_names(source)]
        if len(set(names)) < len(names):
            raise ValueError("two fields are mapped to the same column: map each field to a different column")
        return self

    @property
    def by_field(self) -> dict[str, ColumnSource]:
        """Return the source of each mapped field."""
        return {field: source for field, source in self if source is not None}

    @property
    def amount_columns(self) -> tuple[str, ...]:
        """Return the columns of the amount, empty for quantity and unit price."""
        return () if self.amount is None else column_names(self.amount)


def _check_constant(field: str, text: str) -> None:
    if field == "event_timestamp":
        if pd.isna(pd.to_datetime(text, format="ISO8601", errors="coerce")):
            raise ValueError(f"{field}: the constant {text!r} is not an ISO 8601 time")
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
        return (*source.add, *source.subtract)
    return () if isinstance(source, Constant) else source
