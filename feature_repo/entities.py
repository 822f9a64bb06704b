"""Who the features describe."""

from feast import Entity, ValueType

customer = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="A buyer, by the id the shop gives them.",
    owner="data@holdfast.example",
    tags={"domain": "retention"},
)
