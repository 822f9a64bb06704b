"""Rules of a mapping for rows: conditions, values carried down, refunds, joins of files."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from holdfast.ingestion.mapping_columns import ColumnName, StrictModel


def _as_condition(value: Any) -> Any:
    return value if isinstance(value, Mapping | Condition) else {"is": value}


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Condition(StrictModel):
    """Condition on the trimmed text of a column.

    Attributes:
        values: Texts, one of which the value equals; None stands for a missing value. Key ``is`` of the mapping.
        starts_with: Begin of the value.
    """

    values: tuple[str | None, ...] | None = Field(default=None, alias="is", min_length=1)
    starts_with: str | None = Field(default=None, min_length=1)

    @field_validator("values", mode="before")
    @classmethod
    def _as_texts(cls, value: Any) -> Any:
        return _as_texts(value)

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if (self.values is None) == (self.starts_with is None):
            raise ValueError("give either `is` or `starts_with`")
        return self


def _as_texts(value: Any) -> Any:
    values = value if isinstance(value, list | tuple) else (value,)
    return tuple(_as_text(item) for item in values)


def _as_text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value.strip() or None if value else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    # YAML turns yes, 1.50 and 2025-01-01 into other texts than those of the file.
    raise ValueError(f"{value} must be in quotes, as the text that the file has, for example 'yes', 'true' or '1.50'")


TextValues = Annotated[tuple[str | None, ...], BeforeValidator(_as_texts)]
Conditions = dict[ColumnName, Annotated[Condition, BeforeValidator(_as_condition)]]
ColumnNames = Annotated[tuple[ColumnName, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class Cancellation(Condition):
    """Rule that marks returns: rows whose ``column`` meets the condition, whatever their sign."""

    column: ColumnName


class CarryDown(StrictModel):
    """Blank values that are filled from the lines above of the same order, within one file.

    Attributes:
        by: Columns that identify the order.
        columns: Columns to fill. A column that is also in ``by`` is filled from the row above, as the order of a blank.
    """

    by: ColumnNames
    columns: ColumnNames


class Refund(StrictModel):
    """Refund in columns of the purchase: a return in addition to the purchase, for each value other than 0.

    Attributes:
        amount: Column of the amount, with either sign.
        event_timestamp: Column of the time; that of the purchase when left out.
    """

    amount: ColumnName
    event_timestamp: ColumnName | None = None


class Join(StrictModel):
    """File of the folder with more columns for the rows of the other files: one row per key.

    Attributes:
        file: Name of the file, where ``*`` stands for any characters.
        on: Columns of the key, with the same names on both sides.
        left_on: Columns of the key in the rows.
        right_on: Columns of the key in the file.
        prefix: Text in front of the names of the file's columns, where both sides have a column of one name.
    """

    file: str = Field(min_length=1)
    on: ColumnNames | None = None
    left_on: ColumnNames | None = None
    right_on: ColumnNames | None = None
    prefix: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_on(cls, value: Any) -> Any:
        if isinstance(value, dict) and True in value:  # YAML reads the key `on` as true
            return {"on" if key is True else key: item for key, item in value.items()}
        return value

    @model_validator(mode="after")
    def _require_key(self) -> Self:
        if (self.left_on is None) != (self.right_on is None) or (self.on is None) == (self.left_on is None):
            raise ValueError("give either `on`, or both `left_on` and `right_on`")
        if len(self.left_key) != len(self.right_key):
            raise ValueError("left_on and right_on name different numbers of columns")
        return self

    @property
    def left_key(self) -> tuple[str, ...]:
        """Return the columns of the key in the rows."""
        return self.on or self.left_on or ()

    @property
    def right_key(self) -> tuple[str, ...]:
        """Return the columns of the key in the file."""
        return self.on or self.right_on or ()
