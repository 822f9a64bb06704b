"""Cache of the features of recent customers, to score while the online store is down."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from feature_repo.timestamps import NO_TIME
from holdfast.core.types import Bools
from holdfast.feast_stores.raw_values import RawColumns

_Row = tuple[tuple[bytes | None, ...], tuple[int, ...]]


class FeatureCache:
    """Rows of the online store by customer, of the ``capacity`` most recently requested customers.

    All rows have definitions with the same fingerprint, because other definitions change the meaning of the values.

    Args:
        capacity: Maximum number of customers.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._fingerprint: Mapping[str, str] = {}
        self._rows: OrderedDict[str, _Row] = OrderedDict()

    def has_any(self, fingerprint: Mapping[str, str]) -> bool:
        """Check whether the cache holds rows of these definitions.

        Args:
            fingerprint: Fingerprint of the definitions.

        Returns:
            True if there is at least one row.
        """
        return bool(self._rows) and fingerprint == self._fingerprint

    def put(self, fingerprint: Mapping[str, str], customer_ids: Sequence[str], raw: RawColumns) -> None:
        """Store rows of the online store; unknown customers are stored as such.

        Args:
            fingerprint: Fingerprint of the definitions; another one clears the cache.
            customer_ids: Customers, in the order of ``raw``.
            raw: Values and times of the online store.
        """
        if fingerprint != self._fingerprint:
            self._fingerprint = dict(fingerprint)
            self._rows.clear()
        values, times = zip(*raw.values, strict=True), zip(*raw.times_us, strict=True)
        for customer_id, *row in zip(customer_ids, values, times, strict=True):
            self._rows[customer_id] = (row[0], row[1])
            self._rows.move_to_end(customer_id)
        while len(self._rows) > self._capacity:
            self._rows.popitem(last=False)

    def get(
        self, fingerprint: Mapping[str, str], customer_ids: Sequence[str], width: tuple[int, int]
    ) -> tuple[RawColumns, Bools]:
        """Return the stored rows of customers.

        Args:
            fingerprint: Fingerprint of the definitions.
            customer_ids: Customers.
            width: Number of fields and of views of a row.

        Returns:
            Rows in the order of ``customer_ids``, and a mask of customers who are not in the cache.
        """
        rows = self._rows if fingerprint == self._fingerprint else {}
        empty: _Row = ((None,) * width[0], (NO_TIME,) * width[1])
        found = [rows.get(customer_id, empty) for customer_id in customer_ids]
        raw = RawColumns(
            [list(column) for column in zip(*(row[0] for row in found), strict=True)],
            [list(column) for column in zip(*(row[1] for row in found), strict=True)],
        )
        return raw, np.array([customer_id not in rows for customer_id in customer_ids], dtype=bool)
