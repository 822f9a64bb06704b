"""Entities: the keys of the features."""

from feast import Entity, ValueType

customer = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="Customer, identified by the id in the transactions.",
    owner="data@holdfast.example",
    tags={"domain": "retention"},
)
