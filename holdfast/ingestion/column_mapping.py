"""Column mapping from a source to the table of its kind, read from a YAML file.

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

import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from holdfast.ingestion.file_rules import FileRule, FileRuleError, matches_file
from holdfast.ingestion.kinds import KindName
from holdfast.ingestion.mapping_columns import Columns, StrictModel, column_names
from holdfast.ingestion.mapping_consistency import require_consistent_keys
from holdfast.ingestion.mapping_kinds import require_fields, require_keys
from holdfast.ingestion.mapping_rules import Cancellation, CarryDown, ColumnNames, Conditions, Join, Refund, TextValues
from holdfast.ingestion.parsing.timestamp_formats import ISO_8601, check_format
from holdfast.ingestion.text_settings import Delimiter, Encoding, TimeZone
from holdfast.ingestion.value_rules import CurrencyRule, CustomerId, CustomerIdForm

# Keys that concern the rows of all files together.
_WHOLE_SOURCE_KEYS = frozenset(
    {"kind", "files", "exclude_files", "overlapping_files", "exact_duplicates", "join", "max_bad_share", "rows_from"}
)


def _as_rules(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else value


def _as_refund(value: Any) -> Any:
    return {"amount": value} if isinstance(value, str) else value


def _as_sheets(value: Any) -> Any:
    names = value if isinstance(value, list | tuple) else [value]
    return [str(name) if isinstance(name, int | float) else name for name in names]


class ColumnMapping(StrictModel):
    """Content of a mapping file.

    Attributes:
        exact_duplicates: Treatment of rows that equal an earlier row of the source in every column.
        exclude_files: Patterns of names of files in a folder that are left out, as in ``files``.
        overlapping_files: Treatment of rows of a folder that equal a row of another file in every common column:
            "detect" reads them once where the files surely overlap and rejects the folder where that is not clear,
            "drop" always reads them once, "keep" reads every file as a whole.
        max_bad_share: Share of bad rows above which the source is rejected.
        thousands: Only separator of thousands; recognized from the column when left out.
        currency: Rule for amounts in several currencies.
        minor_units: True where amounts are whole numbers of cents, or of the smallest unit of their currency.
        credit_sign: Sign of amounts marked CR; those marked DR get the other sign.
        ignore_customers: Ids that stand for no customer, regardless of case; their rows are quarantined and not bad.
        customer_id_form: Differences in writing that do not make two customers.
        missing_values: Texts of an attribute that state no value, besides a blank.
        erased_values: Texts of an attribute that erase its value; None stands for a blank.
    """

    kind: KindName = "transactions"
    columns: Columns
    timestamp_format: str | tuple[str, ...] | None = Field(
        default=None, description="strptime format or a name such as epoch_seconds, or several; default ISO 8601."
    )
    time_zone: TimeZone = Field(default="UTC", description="IANA name, for timestamps without an offset.")
    dayfirst: bool | None = Field(default=None, description="Confirms the order of day and month in the format.")
    amount_sign: Literal["unchanged", "negated"] = Field(default="unchanged", description="Negated: sales are below 0.")
    cancellation: Cancellation | None = None
    refund: Annotated[Refund, BeforeValidator(_as_refund)] | None = None
    where: Conditions = Field(default={}, description="Rows that meet all of these conditions are read.")
    where_not: Conditions = Field(default={}, description="Rows that meet one of these conditions are left out.")
    carry_down: CarryDown | None = None
    one_row_per: ColumnNames | None = Field(default=None, description="Columns that identify an order.")
    rows_from: str | None = Field(default=None, description="Name of the files with rows; every file when left out.")
    join: Annotated[tuple[Join, ...], BeforeValidator(_as_rules)] = Field(
        default=(), description="Files of the folder with more columns for the rows."
    )
    exact_duplicates: Literal["keep", "quarantine"] = "keep"
    exclude_files: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    overlapping_files: Literal["detect", "drop", "keep"] = "detect"
    encoding: Encoding = "utf-8"
    delimiter: Delimiter = Field(default=",", description="One character, or 'whitespace' for any run of blanks.")
    quoted: bool = Field(default=True, description='False where the character " has no special meaning.')
    skip_rows: int = Field(default=0, ge=0, description="Lines (rows of a sheet) above the header.")
    column_names: tuple[str, ...] | None = Field(default=None, description="Names for a file without a header.")
    sheet: Annotated[tuple[str, ...], BeforeValidator(_as_sheets), Field(min_length=1)] | None = Field(
        default=None, description="Sheet of a workbook, or several with the same columns."
    )
    unterminated_row: Literal["quarantine", "keep"] = Field(
        default="quarantine", description="Last row of text without a line end, if its last column is mapped."
    )
    decimal: Literal[".", ","] = Field(default=".", description="With ',' a point separates thousands: 1.234,56.")
    thousands: Literal[".", ",", " ", "'"] | None = None
    currency: CurrencyRule | None = None
    minor_units: bool = False
    credit_sign: Literal["positive", "negative"] | None = None
    ignore_customers: tuple[CustomerId, ...] = ()
    customer_id_form: CustomerIdForm = CustomerIdForm()
    missing_values: TextValues = ()
    erased_values: TextValues = ()
    max_bad_share: float = Field(default=0.5, ge=0, le=1)
    files: Annotated[tuple[FileRule, ...], BeforeValidator(_as_rules)] = Field(
        default=(), description="Keys that differ for some files of a folder."
    )

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, value: Columns, info: ValidationInfo) -> Columns:
        if "kind" in info.data:  # else the kind has an error
            require_fields(info.data["kind"], value)
        return value

    @field_validator("timestamp_format")
    @classmethod
    def _check_formats(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, tuple):
            if not value:
                raise ValueError("give at least one format, or leave the key out for ISO 8601")
            return tuple(check_format(text) for text in value)
        return value if value is None else check_format(value)

    @field_validator("column_names")
    @classmethod
    def _check_column_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (not value or len(set(value)) < len(value)):
            raise ValueError("give one name per column, each once")
        return value

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require_keys(self)
        require_consistent_keys(self)
        return self

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

    def reads_file(self, name: str) -> bool:
        """Return False for a file of a folder that ``rows_from`` and ``join`` do not name.

        Args:
            name: Name of the file, or its path within the source.

        Returns:
            True for a file that is read.
        """
        return self.rows_from is None or any(
            matches_file(name, pattern) for pattern in (self.rows_from, *(join.file for join in self.join))
        )

    @cached_property
    def sha256(self) -> str:
        """Return the digest of the mapping's values without defaults, so that a new optional key changes no digest."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

    @property
    def timestamp_formats(self) -> tuple[str, ...]:
        """Return the formats of timestamps, ISO 8601 without one."""
        if isinstance(self.timestamp_format, tuple):
            return self.timestamp_format
        return (self.timestamp_format or ISO_8601,)

    @property
    def required_columns(self) -> list[str]:
        """Return the source columns that the mapping reads, each once."""
        names = [name for source in self.columns.by_field.values() for name in column_names(source)]
        if self.cancellation:
            names.append(self.cancellation.column)
        if self.refund:
            names += [name for _, name in self.refund if name]
        names += [*self.where, *self.where_not, *(self.one_row_per or ())]
        if self.carry_down:
            names += [*self.carry_down.by, *self.carry_down.columns]
        return list(dict.fromkeys(names))

    @cached_property
    def for_refunds(self) -> "ColumnMapping":
        """Return the mapping of the returns in the refund column."""
        if self.refund is None:
            raise ValueError("the mapping has no refund column")
        columns = {
            "customer_id": self.columns.customer_id,
            "event_timestamp": self.refund.event_timestamp or self.columns.event_timestamp,
            "amount": self.refund.amount,
            "currency": self.columns.currency,
            "source": self.columns.source,
        }
        rules = {"refund", "cancellation", "amount_sign", "where", "where_not", "carry_down", "one_row_per", "join"}
        content = {key: value for key, value in self._content.items() if key not in rules}
        return ColumnMapping.model_validate(content | {"columns": columns})
