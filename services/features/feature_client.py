"""Client of the feature stores: one per version of the definitions that a served model reads."""

import threading
from collections.abc import Collection

from feature_repo.settings import Settings
from holdfast.models.contract import ServedModel
from services.features.version_store import VersionStore


class FeatureClient:
    """Client of the versions of the feature definitions. The problem of one version has no effect on another.

    Args:
        settings: Shared settings.
        store_timeout: Maximum time of one read of the online store, seconds.
        cache_size: Number of customers per version whose last features are cached, to score while the store is down.
    """

    def __init__(self, settings: Settings, store_timeout: float, cache_size: int = 0) -> None:
        self._settings, self._store_timeout, self._cache_size = settings, store_timeout, cache_size
        self._stores: dict[str, VersionStore] = {}
        self._used: dict[str, set[str]] = {}  # versions of the definitions by registered model
        self._lock = threading.Lock()  # of the dictionary only: no version waits while another is opened

    def version(self, definitions: str) -> VersionStore:
        """Return the store of a version, which is opened at its first use.

        Args:
            definitions: Id of the version.

        Returns:
            Store of the version, the same at each call until :meth:`retain` drops it.
        """
        found = self._stores.get(definitions)
        if found is not None:
            return found
        with self._lock:
            return self._stores.setdefault(
                definitions, VersionStore(self._settings, definitions, self._store_timeout, self._cache_size)
            )

    def require(self, contract: ServedModel) -> None:
        """Check that the version of a model can be read; a problem is not logged.

        Args:
            contract: Contract of the model, which may not be served.

        Raises:
            NotReadyError: As ``VersionRegistry.definitions``.
        """
        with self._lock:
            self._used.setdefault(contract.model_name, set()).add(contract.definitions)
        self.version(contract.definitions).registry.definitions(contract)

    def require_readable(self, contract: ServedModel) -> None:
        """Check that the features of a served model can be read now; a problem is logged.

        Args:
            contract: Contract of the model.

        Raises:
            NotReadyError: As ``VersionStore.definitions`` and ``VersionStore.probe``.
        """
        store = self.version(contract.definitions)
        store.probe(store.definitions(contract))

    def retain(self, model_name: str, versions: Collection[str]) -> None:
        """Drop the stores of versions that no model uses any more.

        Args:
            model_name: Name of the registered model.
            versions: Ids of all versions that this model uses.
        """
        with self._lock:
            self._used[model_name] = set(versions)
            used = set().union(*self._used.values())
            self._stores = {version: store for version, store in self._stores.items() if version in used}

    def stores(self) -> dict[str, VersionStore]:
        """Return the stores by version.

        Returns:
            Stores in use.
        """
        with self._lock:
            return dict(self._stores)
