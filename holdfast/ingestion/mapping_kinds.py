"""Fields and keys of a mapping that each kind of source has."""

from typing import TYPE_CHECKING

from holdfast.ingestion.kinds import KindName
from holdfast.ingestion.mapping_columns import Columns

if TYPE_CHECKING:
    from holdfast.ingestion.column_mapping import ColumnMapping

_SHARED = ("customer_id", "event_timestamp")
_FIELDS: dict[KindName, tuple[str, ...]] = {
    "transactions": (*_SHARED, "amount", "quantity", "unit_price", "currency", "source"),
    "attributes": (*_SHARED, "attributes", "attribute", "value"),
    "events": (*_SHARED, "kind", "value", "currency"),
}
# Keys of some kinds only; all other keys of a mapping are keys of every kind.
_SALES, _NUMBERS, _TEXTS = ("transactions",), ("transactions", "events"), ("attributes",)
_KINDS_OF_KEY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("amount_sign", "cancellation", "refund", "one_row_per"), _SALES),
    **dict.fromkeys(("thousands", "currency", "minor_units", "credit_sign"), _NUMBERS),
    **dict.fromkeys(("missing_values", "erased_values"), _TEXTS),
}


def require_fields(kind: KindName, columns: Columns) -> None:
    """Require the fields of a kind, and no others.

    Args:
        kind: Kind of source.
        columns: Source of each field.

    Raises:
        ValueError: A field is missing, or belongs to another kind.
    """
    for field in (field for field, source in columns if source is not None and field not in _FIELDS[kind]):
        others = " or ".join(f"`kind: {other}`" for other, fields in _FIELDS.items() if field in fields)
        raise ValueError(
            f"{field} is a field of a mapping with {others}; this one has `kind: {kind}`, whose fields are "
            f"{', '.join(_FIELDS[kind])}"
        )
    if kind == "transactions":
        if columns.amount is None and (columns.quantity is None or columns.unit_price is None):
            raise ValueError("map either amount, or both quantity and unit_price")
        if columns.amount is not None and columns.unit_price is not None:
            raise ValueError("map amount or unit_price, not both: the amount would have two sources")
    if kind == "events" and columns.kind is None:
        raise ValueError("kind is missing: name the column with the kind of each event, or {constant: visit}")
    is_long = columns.attribute is not None and columns.value is not None
    if kind == "attributes" and is_long == (columns.attributes is not None):
        raise ValueError(
            "map either attributes, such as {country: Country}, or both attribute and value where each row has the "
            "name and the value of one attribute"
        )
    if kind == "attributes" and not is_long and (columns.attribute or columns.value):
        raise ValueError("map both attribute and value, or remove them")


def require_keys(mapping: "ColumnMapping") -> None:
    """Require that each key that is set belongs to the kind of the mapping.

    Args:
        mapping: Mapping.

    Raises:
        ValueError: A key belongs to other kinds.
    """
    for key, kinds in _KINDS_OF_KEY.items():
        if key in mapping.model_fields_set and mapping.kind not in kinds:
            raise ValueError(f"{key} is a key of {' and '.join(kinds)}; this mapping has `kind: {mapping.kind}`")
