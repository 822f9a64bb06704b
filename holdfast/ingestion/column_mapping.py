"""Column mapping from a source to transactions, read from a YAML file.

Example::

    columns:
      customer_id: Customer ID
      event_timestamp: InvoiceDate
      quantity: Quantity
      unit_price: Price
    timestamp_format: "%d/%m/%Y %H:%M"
    time_zone: Europe/London
    cancellation: {column: Invoice, starts_with: C}
    encoding: latin-1
"""

import codecs
import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from holdfast.core.errors import IngestError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Strict):
    """Source column of each transaction field; either ``amount``, or ``quantity`` and ``unit_price``."""

    customer_id: str
    event_timestamp: str
    amount: str | None = None
    quantity: str | None = None
    unit_price: str | None = None

    @model_validator(mode="after")
    def _require_one_amount(self) -> Self:
        if self.amount is None and (self.quantity is None or self.unit_price is None):
            raise ValueError("map either amount, or both quantity and unit_price")
        if self.amount is not None and self.unit_price is not None:
            raise ValueError("map amount or unit_price, not both: the amount would have two sources")
        names = list(self.by_field.values())
        if len(set(names)) < len(names):
            raise ValueError("two fields are mapped to the same column: map each field to a different column")
        return self

    @property
    def by_field(self) -> dict[str, str]:
        """Return the source column of each mapped field."""
        return {field: column for field, column in self if column is not None}


class Cancellation(_Strict):
    """Rule that marks returns: rows whose ``column`` starts with ``starts_with``, whatever their sign."""

    column: str
    starts_with: str = Field(min_length=1)


class ColumnMapping(_Strict):
    """Content of a mapping file.

    Attributes:
        exact_duplicates: Treatment of rows that equal an earlier row of the source in every column.
        max_bad_share: Share of bad rows above which the source is rejected.
    """

    columns: Columns
    timestamp_format: str | None = Field(default=None, description="strptime format; ISO 8601 when left out.")
    time_zone: str = Field(default="UTC", description="IANA name, for timestamps without an offset.")
    cancellation: Cancellation | None = None
    exact_duplicates: Literal["keep", "quarantine"] = "keep"
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", description="One character, or 'whitespace' for any run of blanks.")
    quoted: bool = Field(default=True, description='False where the character " has no special meaning.')
    decimal: Literal[".", ","] = Field(default=".", description="With ',' a point separates thousands: 1.234,56.")
    max_bad_share: float = Field(default=0.5, ge=0, le=1)

    @field_validator("timestamp_format")
    @classmethod
    def _check_directives(cls, value: str | None) -> str | None:
        if value is not None:
            pd.to_datetime(["?"], format=value, errors="coerce")  # a bad directive raises ValueError
            if "%" not in value:
                raise ValueError(f"{value!r} has no directive; an example: '%d/%m/%Y %H:%M'")
        return value

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is not an IANA time zone; an example: Europe/London") from None
        return value

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"{value!r} is not an encoding Python knows; examples: utf-8, latin-1") from None

    @field_validator("delimiter")
    @classmethod
    def _check_delimiter(cls, value: str) -> str:
        if value != "whitespace" and (len(value) != 1 or not value.isascii() or value in '"\r\n'):
            raise ValueError(f"{value!r} must be one character, or the word whitespace")
        return value

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the mapping's values without defaults, so that a new optional key changes no digest."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

    @property
    def required_columns(self) -> list[str]:
        """Return the source columns that the mapping reads, each once."""
        extra = [self.cancellation.column] if self.cancellation else []
        return list(dict.fromkeys([*self.columns.by_field.values(), *extra]))


def load_mapping(path: Path) -> ColumnMapping:
    """Read a mapping file.

    Args:
        path: YAML file.

    Returns:
        Validated mapping.

    Raises:
        IngestError: The file is missing, is no YAML mapping, or has an invalid key or value.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IngestError(f"Mapping {path} does not exist. Check the path given as --mapping.") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise IngestError(f"Mapping {path} is not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise IngestError(f"Mapping {path} must be a YAML mapping that starts with `columns:`.")
    try:
        return ColumnMapping.model_validate(content)
    except ValidationError as error:
        problems = "".join(f"\n  {_explain(detail)}" for detail in error.errors())
        raise IngestError(f"Mapping {path} is not valid:{problems}") from error


def _explain(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"]) or "(top level)"
    if detail["type"] == "extra_forbidden":
        nested: dict[str, type[BaseModel]] = {"columns": Columns, "cancellation": Cancellation}
        model = nested[str(detail["loc"][0])] if len(detail["loc"]) > 1 else ColumnMapping
        return f"{key}: unknown key. Known here: {', '.join(model.model_fields)}."
    if detail["type"] == "missing":
        return f"{key}: missing. Add this key."
    return f"{key}: {detail['msg'].removeprefix('Value error, ')}."
