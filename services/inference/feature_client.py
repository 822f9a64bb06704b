"""Client of the feature store: opened when it exists, used only while its definitions match the model."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from holdfast.core.types import Bools
from holdfast.feast_stores.raw_values import RawColumns
from holdfast.models.contract import ServedModel
from services.errors import NotReadyError, StoreUnavailableError
from services.inference.feature_cache import FeatureCache
from services.inference.feature_definitions import (
    FeatureDefinitions,
    read_definitions,
    registry_version,
    require_definitions_of_model,
)
from services.inference.guarded_reader import GuardedReader
from services.observability.logs import LOG
from services.observability.metrics import METRICS

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

RETRY_SECONDS = 2.0
_PROBE = "readiness probe"
_PROBE_SECONDS = 1.0


class FeatureClient:
    """Client of the feature store.

    The version of the registry is checked before and after each read: a file costs one ``stat``; a remote registry is
    read again after its ``cache_ttl_seconds``. A store that does not exist yet is checked at most every two seconds.
    Each problem is logged once, when it starts.

    Args:
        settings: Shared settings.
        store_timeout: Maximum time of one read of the online store, seconds.
        cache_size: Number of customers whose last features are cached, to score while the store is down.
    """

    def __init__(self, settings: Settings, store_timeout: float, cache_size: int = 0) -> None:
        self._settings = settings
        self._store_timeout = store_timeout
        self._cache = FeatureCache(cache_size) if cache_size else None
        self._store: FeatureStore | None = None
        self._registry_file: Path | None = None
        self._definitions: FeatureDefinitions | None = None
        self._matches: dict[object, NotReadyError | None] = {}
        self._problem: NotReadyError | None = None
        self._tried_version: object = None
        self._retry_at = 0.0
        self._reads = GuardedReader()
        self._lock = threading.RLock()  # used by the scoring thread, /readyz and the registry watcher

    def definitions(self, contract: ServedModel) -> FeatureDefinitions:
        """Return the definitions for the served model; a problem is logged.

        Args:
            contract: Contract of the model.

        Returns:
            Current definitions, which match the model.

        Raises:
            NotReadyError: The registry cannot be read or is empty, or its definitions differ from the model's.
        """
        with self._lock:
            try:
                definitions = self.matching_definitions(contract)
            except NotReadyError as error:
                self._log_once(error)
                raise
            self._problem = None
            return definitions

    def matching_definitions(self, contract: ServedModel) -> FeatureDefinitions:
        """Return the definitions for a model that may not be served; a problem is not logged.

        Args:
            contract: Contract of the model.

        Returns:
            Current definitions, which match the model.

        Raises:
            NotReadyError: As ``definitions``.
        """
        with self._lock:
            definitions = self._current()
            self._require_contract(definitions, contract)
            return definitions

    def fetch(
        self, definitions: FeatureDefinitions, contract: ServedModel, customer_ids: Sequence[str]
    ) -> tuple[RawColumns, Bools | None]:
        """Read the stored features of customers, from the cache while the store is down.

        Args:
            definitions: Current definitions.
            contract: Contract of the served model.
            customer_ids: Customers.

        Returns:
            Values and times in the order of ``customer_ids``, and a mask of customers who are not in the cache, shape
            (n,); no mask if the values are from the online store.

        Raises:
            StoreUnavailableError: The store cannot be read or the circuit breaker is open, and there is no cache.
        """
        fingerprint = contract.fingerprint
        try:
            raw = self._read(definitions, customer_ids)
        except StoreUnavailableError:
            if self._cache is None:
                raise
            raw, unknown = self._cache.get(fingerprint, customer_ids, definitions.reader.width)
            METRICS.last_known.add(amount=int((~unknown).sum()))
            return raw, unknown
        if self._cache is not None:
            self._cache.put(fingerprint, customer_ids, raw)
        return raw, None

    def _read(self, definitions: FeatureDefinitions, customer_ids: Sequence[str]) -> RawColumns:
        assert self._store is not None
        return self._reads.read(self._store, definitions.reader, customer_ids)

    def is_current(self, definitions: FeatureDefinitions) -> bool:
        """Check that the registry has not changed.

        Args:
            definitions: Definitions that were used for a read.

        Returns:
            True if the registry still has the version of ``definitions``.
        """
        with self._lock:
            return self._definitions is definitions and self._version() == definitions.version

    def refresh(self) -> None:
        """Read the registry again, because Feast's cached copy of a remote registry can be a minute old."""
        with self._lock, _reading("registry"):
            if self._store is not None:
                self._store.refresh_registry()

    def probe(self, definitions: FeatureDefinitions, contract: ServedModel) -> None:
        """Check that the store can be read, unless a read succeeded within the last second.

        Args:
            definitions: Current definitions.
            contract: Contract of the served model.

        Raises:
            StoreUnavailableError: As ``fetch``, and the cache is empty.
        """
        if self._reads.age <= _PROBE_SECONDS:
            return
        try:
            self._read(definitions, [_PROBE])
        except StoreUnavailableError:
            if self._cache is None or not self._cache.has_any(contract.fingerprint):
                raise

    def _current(self) -> FeatureDefinitions:
        if self._store is None:
            self._check_backoff(None)
            self._store = self._open()
        with _reading("registry"):
            while self._definitions is None or self._version() != self._definitions.version:
                version = self._version()
                self._check_backoff(version)
                self._definitions, self._matches = None, {}
                self._store.refresh_registry()
                if self._registry_file is None:
                    version = registry_version(self._store)
                self._definitions = read_definitions(self._store, version)
                METRICS.materialized_to.set(self._definitions.materialized_to.timestamp())
            return self._definitions

    def _check_backoff(self, version: object) -> None:
        """Raise the last problem again, unless the version changed or two seconds have passed: reading is slow."""
        now = time.monotonic()
        if self._problem is not None and version == self._tried_version and now < self._retry_at:
            raise self._problem.with_traceback(None)
        self._tried_version, self._retry_at = version, now + RETRY_SECONDS

    def _open(self) -> "FeatureStore":
        from holdfast.feast_stores.open_store import open_store

        with _reading("feature store"):
            store = open_store(online_timeout=self._store_timeout)
        self._registry_file = _require_files(store.config, self._settings)
        return store

    def _version(self) -> object:
        assert self._store is not None
        if self._registry_file is None:
            self._store.registry.list_entities(
                self._store.project, allow_cache=True
            )  # reads it again after cache_ttl_seconds
            return registry_version(self._store)
        try:
            file = self._registry_file.stat()
        except FileNotFoundError:
            raise NotReadyError("The registry does not exist.", _missing_remedy(self._settings)) from None
        return file.st_mtime_ns, file.st_ino, file.st_size

    def _require_contract(self, definitions: FeatureDefinitions, contract: ServedModel) -> None:
        assert self._store is not None
        model = (contract.model_sha256, frozenset(contract.fingerprint.items()))
        if model not in self._matches:
            try:
                with _reading("registry"):
                    require_definitions_of_model(self._store, definitions, contract)
                self._matches[model] = None
                LOG.info("The definitions in the registry are those of model version %s.", contract.model_version)
            except NotReadyError as error:
                self._matches[model] = error
        if problem := self._matches[model]:
            raise problem.with_traceback(None)

    def _log_once(self, problem: NotReadyError) -> None:
        if self._problem is None or str(self._problem) != str(problem):
            LOG.error("Not ready: %s", problem)
        self._problem = problem


def _require_files(config: "RepoConfig", settings: Settings) -> Path | None:
    """Return the registry's file, if it is a file; Feast would create a missing registry or online store, empty."""
    paths = {"registry": config.registry.path}
    if config.online_store.type == "sqlite":
        paths["online store"] = config.online_store.path
    for name, path in paths.items():
        if "://" not in path and not (settings.data / path).is_file():
            raise NotReadyError(f"The {name} does not exist.", _missing_remedy(settings))
    return settings.data / paths["registry"] if "://" not in paths["registry"] else None


def _missing_remedy(settings: Settings) -> str:
    return (
        f"It is expected in HOLDFAST_DATA, {settings.data}. Build the features there "
        "(`python -m flows.features`), or set HOLDFAST_DATA to the folder that holds them."
    )


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Convert any error to NotReadyError, whose cause is logged and not sent to the caller."""
    try:
        yield
    except NotReadyError:
        raise
    except Exception as error:
        raise NotReadyError(f"The {name} cannot be read now.", f"{type(error).__name__}: {error}") from error
