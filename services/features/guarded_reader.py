"""Reads of the online store behind a circuit breaker."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from feature_repo.timestamps import NO_TIME
from holdfast.feast_stores.raw_values import RawColumns
from holdfast.online_features.reader import OnlineReader
from services.errors import StoreUnavailableError
from services.features.circuit_breaker import CircuitBreaker
from services.observability.logs import LOG
from services.observability.metrics import METRICS

if TYPE_CHECKING:
    from feast import FeatureStore


class EmptyStoreError(Exception):
    """The online store responds, but has lost the materialized features: every customer is unknown to it."""


class GuardedReader:
    """Reader with a circuit breaker; logs each outage when it starts and when it ends."""

    def __init__(self) -> None:
        self._breaker = CircuitBreaker()
        self._reachable = True
        self._read_at = 0.0

    @property
    def is_breaker_open(self) -> bool:
        """Return True while the circuit breaker stops reads."""
        return self._breaker.is_open

    @property
    def age(self) -> float:
        """Return the seconds since the last read; a large number if that read failed."""
        return time.monotonic() - self._read_at

    def start(
        self, store: "FeatureStore", reader: OnlineReader, customer_ids: Sequence[str]
    ) -> Callable[[], RawColumns]:
        """Start a read of the stored features of customers.

        Args:
            store: Feature store.
            reader: Reader of the feature service.
            customer_ids: Customers.

        Returns:
            Function that returns values and times in the order of ``customer_ids``, and must be called. The function
            raises StoreUnavailableError if the online store cannot be read or the circuit breaker is open.
        """
        receive, problem = None, StoreUnavailableError()
        if self._breaker.allows():
            try:
                receive = reader.start(customer_ids)
            except Exception as error:
                problem = self._record_failure(error)

        def finish() -> RawColumns:
            if receive is None:
                raise problem
            try:
                raw = receive()
                _require_contents(store, raw)
            except Exception as error:
                raise self._record_failure(error) from error
            self._record_success()
            return raw

        return finish

    def _record_failure(self, error: Exception) -> StoreUnavailableError:
        self._breaker.record_failure()
        self._read_at = 0.0
        METRICS.store_failures.add(type(error).__name__)
        unavailable = StoreUnavailableError(f"{type(error).__name__}: {error}")
        if self._reachable:
            LOG.error("Not ready: %s", unavailable)
        self._reachable = False
        return unavailable

    def _record_success(self) -> None:
        if not self._reachable:
            LOG.info("The online store can be read again.")
            self._reachable = True
        self._breaker.record_success()
        self._read_at = time.monotonic()


def _require_contents(store: "FeatureStore", raw: RawColumns) -> None:
    """Check that the store has not lost its content, if any customer lacks a view.

    Only a server can lose its content; a file would be missing. While the content is restored view by view, every
    customer lacks some views.
    """
    if not any(NO_TIME in column for column in raw.times_us):
        return
    is_empty = getattr(store.provider.online_store, "is_empty", None)
    if is_empty is not None and is_empty(store.config):
        raise EmptyStoreError(
            "It is empty or incomplete, although features were materialized. It may have been restarted without its "
            "data, or be another server. Build the features: `python -m flows.features`."
        )
