"""Cache of the features of recent customers, to score while the online store is down."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from feature_repo.timestamps import NO_TIME
from holdfast.core.types import Bools
from holdfast.feast_stores.raw_values import RawColumns

_Row = tuple[tuple[bytes | None, ...], tuple[int, ...]]


class FeatureCache:
    """Rows of the online store by customer, of the ``capacity`` most recently requested customers.

    A cache belongs to one version of the definitions, because other definitions change the meaning of the values.

    Args:
        capacity: Maximum number of customers.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rows: OrderedDict[str, _Row] = OrderedDict()

    @property
    def is_empty(self) -> bool:
        """Return True without any row."""
        return not self._rows

    def put(self, customer_ids: Sequence[str], raw: RawColumns) -> None:
        """Store rows of the online store; unknown customers are stored as such.

        Args:
            customer_ids: Customers, in the order of ``raw``.
            raw: Values and times of the online store.
        """
        values, times = zip(*raw.values, strict=True), zip(*raw.times_us, strict=True)
        for customer_id, *row in zip(customer_ids, values, times, strict=True):
            self._rows[customer_id] = (row[0], row[1])
            self._rows.move_to_end(customer_id)
        while len(self._rows) > self._capacity:
            self._rows.popitem(last=False)

    def get(self, customer_ids: Sequence[str], width: tuple[int, int]) -> tuple[RawColumns, Bools]:
        """Return the stored rows of customers.

        Args:
            customer_ids: Customers.
            width: Number of fields and of views of a row.

        Returns:
            Rows in the order of ``customer_ids``, and a mask of customers who are not in the cache.
        """
        rows = self._rows
        empty: _Row = ((None,) * width[0], (NO_TIME,) * width[1])
        found = [rows.get(customer_id, empty) for customer_id in customer_ids]
        raw = RawColumns(
            [list(column) for column in zip(*(row[0] for row in found), strict=True)],
            [list(column) for column in zip(*(row[1] for row in found), strict=True)],
        )
        return raw, np.array([customer_id not in rows for customer_id in customer_ids], dtype=bool)
