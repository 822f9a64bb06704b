"""Kinds of source: transactions, attributes of customers with their history, and events.

Each kind has its own table. All kinds share the columns ``customer_id``, ``event_timestamp``, ``ingested_at`` and
``batch_id``, and the rules for batches, quarantine, arrival and replacement.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

KindName = Literal["transactions", "attributes", "events"]
_UTC = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Kind:
    """Kind of source.

    Attributes:
        name: Name of the kind and of its table.
        noun: A row of the table in a sentence.
        fields: Columns that a source gives, with their types; together they make two rows equal.
        part: Column whose values divide the table into parts that a source states separately.
        optional: Columns of ``fields`` that may be null, and that files of before the column lack.
    """

    name: KindName
    noun: str
    fields: tuple[tuple[str, pa.DataType], ...]
    part: str
    optional: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Return the columns that make two rows equal."""
        return tuple(name for name, _ in self.fields)

    @property
    def has_parts(self) -> bool:
        """Return True where a source states some parts only: one mapping reads visits, another one tickets."""
        return self.part not in self.optional

    @property
    def table(self) -> pa.Schema:
        """Return the schema of the stored table."""
        return pa.schema([*self.fields, ("ingested_at", _UTC), ("batch_id", pa.string())])

    @property
    def file(self) -> str:
        """Return the name of the table's file in a batch."""
        return f"{self.name}.parquet"


KINDS: dict[KindName, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "transactions",
            "sale",
            (
                ("customer_id", pa.string()),
                ("event_timestamp", _UTC),
                ("amount", pa.float64()),
                ("quantity", pa.float64()),
                ("source", pa.string()),
            ),
            part="source",
            optional=("source",),
        ),
        Kind(
            "attributes",
            "attribute value",
            (
                ("customer_id", pa.string()),
                ("attribute", pa.string()),
                ("value", pa.string()),
                ("event_timestamp", _UTC),
            ),
            part="attribute",
            optional=("value",),
        ),
        Kind(
            "events",
            "event",
            (
                ("customer_id", pa.string()),
                ("event_timestamp", _UTC),
                ("kind", pa.string()),
                ("value", pa.float64()),
            ),
            part="kind",
            optional=("value",),
        ),
    )
}
TRANSACTIONS = KINDS["transactions"]
