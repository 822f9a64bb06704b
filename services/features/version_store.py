"""Feature store of one version of the definitions: its registry, guarded reads, and a cache for outages."""

from collections.abc import Callable, Sequence

from feature_repo.settings import Settings
from holdfast.core.types import Bools
from holdfast.feast_stores.raw_values import RawColumns
from holdfast.models.contract import ServedModel
from services.errors import NotReadyError, StoreUnavailableError
from services.features.feature_cache import FeatureCache
from services.features.feature_definitions import FeatureDefinitions
from services.features.guarded_reader import GuardedReader
from services.features.version_registry import VersionRegistry
from services.observability.logs import LOG
from services.observability.metrics import METRICS

_PROBE = "readiness probe"
_PROBE_SECONDS = 1.0

# Stored values and times, and a mask of the customers that the cache lacks; no mask for values of the online store.
FetchedColumns = tuple[RawColumns, Bools | None]


class VersionStore:
    """Feature store of one version of the definitions; each problem of a served model is logged once, when it starts.

    Args:
        settings: Shared settings.
        version: Id of the version.
        store_timeout: Maximum time of one read of the online store, seconds.
        cache_size: Number of customers whose last features are cached, to score while the store is down.
    """

    def __init__(self, settings: Settings, version: str, store_timeout: float, cache_size: int = 0) -> None:
        self.registry = VersionRegistry(settings, version, store_timeout)
        self._cache = FeatureCache(cache_size) if cache_size else None
        self._reads = GuardedReader()
        self._logged_problems: dict[str, str] = {}  # by model

    @property
    def materialized_to(self) -> float | None:
        """Return the end of the last materialization, seconds since 1970; None if it is not known."""
        definitions = self.registry.known_definitions
        return definitions.materialized_to.timestamp() if definitions is not None else None

    @property
    def is_breaker_open(self) -> bool:
        """Return True while the circuit breaker stops reads of the online store."""
        return self._reads.is_breaker_open

    def definitions(self, contract: ServedModel) -> FeatureDefinitions:
        """Return the definitions for a served model; a problem is logged.

        Args:
            contract: Contract of the model.

        Returns:
            Current definitions, which match the model.

        Raises:
            NotReadyError: As ``VersionRegistry.definitions``.
        """
        try:
            definitions = self.registry.definitions(contract)
        except NotReadyError as error:
            if self._logged_problems.get(contract.model_name) != str(error):
                LOG.error("Not ready: %s", error)
            self._logged_problems[contract.model_name] = str(error)
            raise
        self._logged_problems.pop(contract.model_name, None)
        return definitions

    def start_read(self, definitions: FeatureDefinitions, customer_ids: Sequence[str]) -> Callable[[], FetchedColumns]:
        """Start a read of the stored features of customers, from the cache while the store is down.

        Args:
            definitions: Current definitions.
            customer_ids: Customers.

        Returns:
            Function that returns the columns in the order of ``customer_ids``, and must be called. The function raises
            StoreUnavailableError if the store cannot be read or the circuit breaker is open, and there is no cache.
        """
        receive = self._start(definitions, customer_ids)

        def finish() -> FetchedColumns:
            try:
                raw = receive()
            except StoreUnavailableError:
                if self._cache is None:
                    raise
                raw, unknown = self._cache.get(customer_ids, definitions.reader.width)
                METRICS.last_known.add(amount=int((~unknown).sum()))
                return raw, unknown
            if self._cache is not None:
                self._cache.put(customer_ids, raw)
            return raw, None

        return finish

    def probe(self, definitions: FeatureDefinitions) -> None:
        """Check that the store can be read, unless a read succeeded within the last second.

        Args:
            definitions: Current definitions.

        Raises:
            StoreUnavailableError: The store cannot be read or the circuit breaker is open, and the cache is empty.
        """
        if self._reads.age <= _PROBE_SECONDS:
            return
        try:
            self._start(definitions, [_PROBE])()
        except StoreUnavailableError:
            if self._cache is None or self._cache.is_empty:
                raise

    def _start(self, definitions: FeatureDefinitions, customer_ids: Sequence[str]) -> Callable[[], RawColumns]:
        return self._reads.start(self.registry.store, definitions.reader, customer_ids)
