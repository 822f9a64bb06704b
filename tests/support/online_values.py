"""Direct writes to the online store."""

from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from tests.support.small_shop import AS_OF, KNOWN_AT, registered_store

HISTORY = "customer_purchase_history"


def write_online_values(customer: str, view: str, values: dict[str, Value]) -> None:
    """Write values of a customer to the online store without a materialization."""
    store = registered_store()
    key = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=customer)])
    rows = [(key, values, AS_OF, KNOWN_AT)]
    store._get_provider().online_write_batch(store.config, store.get_feature_view(view), rows, None)
