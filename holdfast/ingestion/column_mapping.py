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
import re
from functools import cached_property
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from holdfast.ingestion.file_rules import FileRule, matches_file
from holdfast.ingestion.parsing.timestamp_formats import ISO_8601, check_format


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Strict):
    """Source column of each transaction field; either ``amount``, or ``quantity`` and ``unit_price``."""

    customer_id: str
    event_timestamp: str
    amount: str | None = None
    quantity: str | None = None
    unit_price: str | None = None
    currency: str | None = None

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


class FileRuleError(ValueError):
    """Invalid rule for some files.

    Attributes:
        position: Position of the rule in ``files``.
        error: Error of the mapping with the rule applied.
    """

    def __init__(self, position: int, error: ValidationError) -> None:
        super().__init__(str(error))
        self.position = position
        self.error = error


# Keys that concern the rows of all files together.
_WHOLE_SOURCE_KEYS = frozenset({"files", "exact_duplicates", "max_bad_share"})


class ColumnMapping(_Strict):
    """Content of a mapping file.

    Attributes:
        exact_duplicates: Treatment of rows that equal an earlier row of the source in every column.
        max_bad_share: Share of bad rows above which the source is rejected.
    """

    columns: Columns
    timestamp_format: str | list[str] | None = Field(
        default=None, description="strptime format or a name such as epoch_seconds, or several; default ISO 8601."
    )
    time_zone: str = Field(default="UTC", description="IANA name, for timestamps without an offset.")
    cancellation: Cancellation | None = None
    exact_duplicates: Literal["keep", "quarantine"] = "keep"
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", description="One character, or 'whitespace' for any run of blanks.")
    quoted: bool = Field(default=True, description='False where the character " has no special meaning.')
    decimal: Literal[".", ","] = Field(default=".", description="With ',' a point separates thousands: 1.234,56.")
    max_bad_share: float = Field(default=0.5, ge=0, le=1)
    files: tuple[FileRule, ...] = Field(default=(), description="Keys that differ for some files of a folder.")

    @field_validator("timestamp_format")
    @classmethod
    def _check_formats(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list):
            if not value:
                raise ValueError("give at least one format, or leave the key out for ISO 8601")
            return [check_format(text) for text in value]
        return value if value is None else check_format(value)

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            fixed = re.fullmatch(r"(?:UTC|GMT)?([+-])0?(\d{1,2})(?::?00)?", value)
            sign = {"+": "-", "-": "+"}
            hint = f"; the IANA name of this offset is Etc/GMT{sign[fixed[1]]}{fixed[2]}" if fixed else ""
            raise ValueError(f"{value!r} is not an IANA time zone; an example: Europe/London{hint}") from None
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

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        for position, rule in enumerate(self.files):
            if wrong := _WHOLE_SOURCE_KEYS & set(rule.model_extra or {}):
                raise ValueError(f"{min(wrong)} applies to all files: move it out of the rule for {rule.match!r}")
            try:
                ColumnMapping.model_validate(rule.apply(self._content))
            except ValidationError as error:
                raise FileRuleError(position, error) from error
        return self

    @property
    def _content(self) -> dict[str, Any]:
        return self.model_dump(exclude={"files"}, exclude_unset=True, by_alias=True)

    @cached_property
    def _by_rule(self) -> tuple["ColumnMapping", ...]:
        """Return the mapping of each rule in ``files``, and last that of the other files."""
        contents = [*(rule.apply(self._content) for rule in self.files), self._content]
        return tuple(ColumnMapping.model_validate(content) for content in contents)

    def for_file(self, name: str) -> "ColumnMapping":
        """Return the mapping of a file: the first rule in ``files`` with a matching name applies.

        Args:
            name: Name of the file, or its path within the source with ``/`` between the parts.

        Returns:
            Mapping without rules for files; equal for files to which the same keys apply.
        """
        if not self.files:
            return self
        rules = (position for position, rule in enumerate(self.files) if matches_file(name, rule.match))
        return self._by_rule[next(rules, -1)]

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the mapping's values without defaults, so that a new optional key changes no digest."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

    @property
    def timestamp_formats(self) -> list[str]:
        """Return the formats of timestamps, ISO 8601 without one."""
        if isinstance(self.timestamp_format, list):
            return self.timestamp_format
        return [self.timestamp_format or ISO_8601]

    @property
    def required_columns(self) -> list[str]:
        """Return the source columns that the mapping reads, each once."""
        extra = [self.cancellation.column] if self.cancellation else []
        return list(dict.fromkeys([*self.columns.by_field.values(), *extra]))
