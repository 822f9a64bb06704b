"""Registry of one version of the definitions: opened when it exists, used while its definitions match the model."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from holdfast.models.contract import ServedModel
from services.errors import NotReadyError
from services.features.feature_definitions import (
    FeatureDefinitions,
    read_definitions,
    registry_state,
    require_definitions_of_model,
)
from services.observability.logs import LOG

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

RETRY_SECONDS = 2.0


class VersionRegistry:
    """Registry of one version of the definitions.

    A version never changes, except for the times of its materializations and for tags without an effect on values. A
    file costs one ``stat`` per check; a remote registry is read again after its ``cache_ttl_seconds``. A version that
    does not exist yet is checked at most every two seconds.

    Args:
        settings: Shared settings.
        version: Id of the version.
        store_timeout: Maximum time of one read of the online store, seconds.
    """

    def __init__(self, settings: Settings, version: str, store_timeout: float) -> None:
        self._settings, self._version, self._store_timeout = settings, version, store_timeout
        self._store: FeatureStore | None = None
        self._file: Path | None = None
        self._definitions: FeatureDefinitions | None = None
        self._matches: dict[object, NotReadyError | None] = {}
        self._problem: NotReadyError | None = None
        self._tried_state: object = None
        self._retry_at = 0.0
        self._lock = threading.RLock()  # used by the scoring thread, /readyz and the registry watcher

    @property
    def store(self) -> "FeatureStore":
        """Return the feature store, which :meth:`definitions` has opened."""
        assert self._store is not None
        return self._store

    @property
    def known_definitions(self) -> FeatureDefinitions | None:
        """Return the definitions that were read last."""
        return self._definitions

    def definitions(self, contract: ServedModel) -> FeatureDefinitions:
        """Return the definitions for a model.

        Args:
            contract: Contract of the model.

        Returns:
            Current definitions, which match the model.

        Raises:
            NotReadyError: The version does not exist or is not materialized, its registry cannot be read, or its
                definitions differ from the model's.
        """
        with self._lock:
            definitions = self._current()
            self._require_contract(definitions, contract)
            return definitions

    def is_current(self, definitions: FeatureDefinitions) -> bool:
        """Check that the registry has not changed.

        Args:
            definitions: Definitions that were used for a read.

        Returns:
            True if the registry still has the state of ``definitions``.

        Raises:
            NotReadyError: The registry does not exist any more.
        """
        with self._lock:
            return self._definitions is definitions and self._state() == definitions.registry_state

    def refresh(self) -> None:
        """Read the registry again, because Feast's cached copy of a remote registry can be a minute old."""
        with self._lock, _reading("registry"):
            self.store.refresh_registry()

    def _current(self) -> FeatureDefinitions:
        try:
            if self._store is None:
                self._check_backoff(None)
                self._store = self._open()
            with _reading("registry"):
                return self._read_changed_registry(self._store)
        except NotReadyError as error:
            self._problem = error
            raise

    def _read_changed_registry(self, store: "FeatureStore") -> FeatureDefinitions:
        while self._definitions is None or self._state() != self._definitions.registry_state:
            state = self._state()
            self._check_backoff(state)
            self._definitions, self._matches = None, {}
            store.refresh_registry()
            if self._file is None:
                state = registry_state(store)
            self._definitions = read_definitions(store, state)
            self._problem = None
        return self._definitions

    def _check_backoff(self, state: object) -> None:
        """Raise the last problem again, unless the registry changed or two seconds have passed: reading is slow."""
        now = time.monotonic()
        if self._problem is not None and state == self._tried_state and now < self._retry_at:
            raise self._problem.with_traceback(None)
        self._tried_state, self._retry_at = state, now + RETRY_SECONDS

    def _open(self) -> "FeatureStore":
        from holdfast.feast_stores.open_store import open_store

        with _reading("feature store"):
            store = open_store(online_timeout=self._store_timeout, definitions=self._version)
        self._file = self._require_files(store.config)
        return store

    def _state(self) -> object:
        assert self._store is not None
        if self._file is None:
            self._store.registry.list_entities(
                self._store.project, allow_cache=True
            )  # reads it again after cache_ttl_seconds
            return registry_state(self._store)
        try:
            file = self._file.stat()
        except FileNotFoundError:
            raise self._missing("registry", self._file) from None
        return file.st_mtime_ns, file.st_ino, file.st_size

    def _require_contract(self, definitions: FeatureDefinitions, contract: ServedModel) -> None:
        assert self._store is not None
        model = (contract.model_sha256, frozenset(contract.fingerprint.items()))
        if model not in self._matches:
            try:
                with _reading("registry"):
                    require_definitions_of_model(self._store, definitions, contract)
                self._matches[model] = None
                LOG.info("Model version %s reads version %s of the definitions.", contract.model_version, self._version)
            except NotReadyError as error:
                self._matches[model] = error
        if problem := self._matches[model]:
            raise problem.with_traceback(None)

    def _require_files(self, config: "RepoConfig") -> Path | None:
        """Return the registry's file, if it is a file; Feast would create a missing registry or online store, empty."""
        paths = {"registry": config.registry.path}
        if config.online_store.type == "sqlite":
            paths["online store"] = config.online_store.path
        files = {name: self._settings.data / path for name, path in paths.items() if "://" not in path}
        for name, file in files.items():
            if not file.is_file():
                raise self._missing(name, file)
        return files.get("registry")

    def _missing(self, name: str, file: Path) -> NotReadyError:
        return NotReadyError(
            f"The {name} of version {self._version} of the feature definitions does not exist.",
            f"Expected in HOLDFAST_DATA, as {file}. Its features were not built there: run `python -m flows.features` "
            "with the code that the model was trained with, or set HOLDFAST_DATA to the folder that holds them. Or the "
            "version was retired: serve another model.",
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
