"""Reads the online store while it can be read, and leaves it alone for a moment where it cannot."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from feature_repo.timestamps import NO_TIME
from holdfast.online_features.reader import OnlineReader, RawColumns
from services.errors import StoreUnavailableError
from services.inference.circuit_breaker import CircuitBreaker
from services.observability.logs import LOG
from services.observability.metrics import METRICS

if TYPE_CHECKING:
    from feast import FeatureStore


class EmptyStoreError(Exception):
    """The store answers, but has lost what was materialised: to it, every customer is unknown."""


class GuardedReader:
    """Reads with a circuit breaker. Each outage is logged when it begins and when it ends."""

    def __init__(self) -> None:
        self._breaker = CircuitBreaker()
        self._works = True
        self._read_at = 0.0

    @property
    def age(self) -> float:
        """Seconds since the last read, if that succeeded; else many."""
        return time.monotonic() - self._read_at

    def read(self, store: "FeatureStore", reader: OnlineReader, customer_ids: Sequence[str]) -> RawColumns:
        """What the online store of ``store`` holds of ``customer_ids``.

        Raises:
            StoreUnavailableError: It cannot be read, or could not so often that it is left alone for a moment.
        """
        if not self._breaker.allows():
            raise StoreUnavailableError()
        try:
            raw = reader.fetch(customer_ids)
            _require_contents(store, raw)
        except Exception as error:
            self._breaker.failed()
            self._read_at = 0.0
            METRICS.store_failures.add(type(error).__name__)
            METRICS.breaker_open.set(self._breaker.is_open)
            problem = StoreUnavailableError(f"{type(error).__name__}: {error}")
            if self._works:
                LOG.error("Not ready: %s", problem)
            self._works = False
            raise problem from error
        if not self._works:
            LOG.info("The online store answers again.")
            self._works = True
        self._breaker.succeeded()
        METRICS.breaker_open.set(0)
        self._read_at = time.monotonic()
        return raw


def _require_contents(store: "FeatureStore", raw: RawColumns) -> None:
    """Where a view lacks somebody the store may have lost everybody, which only a server can: a file would be missing.

    While it is filled again, one view after the other, everybody lacks some of them.
    """
    if not any(NO_TIME in column for column in raw.times_us):
        return
    is_empty = getattr(store.provider.online_store, "is_empty", None)
    if is_empty is not None and is_empty(store.config):
        raise EmptyStoreError(
            "It holds nothing, or not all again yet, although features were materialised. Was it restarted without its "
            "data, or is it another one? Build the features: `python -m flows.features`."
        )
