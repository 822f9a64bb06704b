"""The last features of customers who asked, to answer from while the online store is down."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from feature_repo.timestamps import NO_TIME
from holdfast.core.types import Bools
from holdfast.online_features.reader import RawColumns

_Row = tuple[tuple[bytes | None, ...], tuple[int, ...]]


class FeatureCache:
    """Rows of the online store by customer; of the ``capacity`` customers who asked last.

    All are of the definitions with one fingerprint: under others they would not mean what they meant.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._fingerprint: Mapping[str, str] = {}
        self._rows: OrderedDict[str, _Row] = OrderedDict()

    def knows_any(self, fingerprint: Mapping[str, str]) -> bool:
        """Whether there is anything to recall."""
        return bool(self._rows) and fingerprint == self._fingerprint

    def remember(self, fingerprint: Mapping[str, str], customer_ids: Sequence[str], raw: RawColumns) -> None:
        """Keep what the store holds of ``customer_ids``; of customers in no view it is that they are in none."""
        if fingerprint != self._fingerprint:
            self._fingerprint = dict(fingerprint)
            self._rows.clear()
        values, times = zip(*raw.values, strict=True), zip(*raw.times_us, strict=True)
        for customer_id, *row in zip(customer_ids, values, times, strict=True):
            self._rows[customer_id] = (row[0], row[1])
            self._rows.move_to_end(customer_id)
        while len(self._rows) > self._capacity:
            self._rows.popitem(last=False)

    def recall(
        self, fingerprint: Mapping[str, str], customer_ids: Sequence[str], like: tuple[int, int]
    ) -> tuple[RawColumns, Bools]:
        """What is known of ``customer_ids``, and of which nothing is; ``like`` is the number of fields and of views."""
        rows = self._rows if fingerprint == self._fingerprint else {}
        nothing: _Row = ((None,) * like[0], (NO_TIME,) * like[1])
        found = [rows.get(customer_id, nothing) for customer_id in customer_ids]
        raw = RawColumns(
            [list(column) for column in zip(*(row[0] for row in found), strict=True)],
            [list(column) for column in zip(*(row[1] for row in found), strict=True)],
        )
        return raw, np.array([customer_id not in rows for customer_id in customer_ids], dtype=bool)
