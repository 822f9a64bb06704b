"""The feature store as the service needs it: opened when it is there, trusted only while it matches the model."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from holdfast.core.types import Bools
from holdfast.models.contract import ServedModel
from holdfast.online_features.reader import RawColumns
from services.errors import NotReadyError, StoreUnavailableError
from services.inference.feature_cache import FeatureCache
from services.inference.feature_definitions import FeatureDefinitions, read_definitions, registry_version, require_match
from services.inference.guarded_reader import GuardedReader
from services.observability.logs import LOG
from services.observability.metrics import METRICS

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

RETRY_SECONDS = 2.0
_PROBE = "readiness probe"
_PROBE_SECONDS = 1.0


@dataclass(frozen=True)
class FetchedFeatures:
    """What the online store holds; with ``unknown`` (rows,) it is what it held last, of all others than these."""

    raw: RawColumns
    unknown: Bools | None = None


class FeatureClient:
    """Reads features; says which definitions they are of.

    The registry is looked at before and after each read: a file costs one look at its directory entry, a registry
    elsewhere is asked as often as its ``cache_ttl_seconds`` says. A store that is not there yet is looked for again,
    at most every two seconds. Each problem is logged once, when it begins.

    Args:
        store_timeout: How long one read of the online store may take, seconds.
        last_known: Of how many customers the last features are kept, to answer from while it is down.
    """

    def __init__(self, settings: Settings, store_timeout: float, last_known: int = 0) -> None:
        self._settings = settings
        self._store_timeout = store_timeout
        self._last_known = FeatureCache(last_known) if last_known else None
        self._store: FeatureStore | None = None
        self._registry_file: Path | None = None
        self._definitions: FeatureDefinitions | None = None
        self._matches: dict[object, NotReadyError | None] = {}
        self._problem: NotReadyError | None = None
        self._tried: object = None
        self._look_again_at = 0.0
        self._reads = GuardedReader()
        self._lock = threading.RLock()  # the scoring thread, /readyz and the watch of the models

    def definitions(self, contract: ServedModel) -> FeatureDefinitions:
        """The definitions to score with, which are those of the model.

        Raises:
            NotReadyError: The registry cannot be read or holds nothing yet, or its definitions are not the model's.
        """
        with self._lock:
            try:
                definitions = self.require(contract)
            except NotReadyError as error:
                self._say(error)
                raise
            self._problem = None
            return definitions

    def require(self, contract: ServedModel) -> FeatureDefinitions:
        """As ``definitions``, of a model that does not serve: whatever is wrong with it is nobody's problem yet."""
        with self._lock:
            definitions = self._current()
            self._require_match(definitions, contract)
            return definitions

    def fetch(
        self, definitions: FeatureDefinitions, contract: ServedModel, customer_ids: Sequence[str]
    ) -> FetchedFeatures:
        """What the online store holds of ``customer_ids``, or what it held last if that is kept.

        Raises:
            StoreUnavailableError: It cannot be read, or could not so often that it is left alone for a moment.
        """
        fingerprint = contract.fingerprint
        try:
            raw = self._read(definitions, customer_ids)
        except StoreUnavailableError:
            if self._last_known is None:
                raise
            raw, unknown = self._last_known.recall(fingerprint, customer_ids, definitions.reader.width)
            METRICS.last_known.add(amount=int((~unknown).sum()))
            return FetchedFeatures(raw, unknown)
        if self._last_known is not None:
            self._last_known.remember(fingerprint, customer_ids, raw)
        return FetchedFeatures(raw)

    def _read(self, definitions: FeatureDefinitions, customer_ids: Sequence[str]) -> RawColumns:
        assert self._store is not None
        return self._reads.read(self._store, definitions.reader, customer_ids)

    def is_current(self, definitions: FeatureDefinitions) -> bool:
        """Whether the registry is still in the state that ``definitions`` were read in."""
        with self._lock:
            return self._definitions is definitions and self._version() == definitions.version

    def refresh(self) -> None:
        """Read the registry anew: one elsewhere may be a minute old in Feast's memory."""
        with self._lock, _reading("registry"):
            if self._store is not None:
                self._store.refresh_registry()

    def probe(self, definitions: FeatureDefinitions, contract: ServedModel) -> None:
        """Read the store, unless that was done a moment ago.

        Raises:
            StoreUnavailableError: As ``fetch``, and nothing is kept to answer from.
        """
        if self._reads.age <= _PROBE_SECONDS:
            return
        try:
            self._read(definitions, [_PROBE])
        except StoreUnavailableError:
            if self._last_known is None or not self._last_known.knows_any(contract.fingerprint):
                raise

    def _current(self) -> FeatureDefinitions:
        if self._store is None:
            self._unless_just_failed(None)
            self._store = self._open()
        with _reading("registry"):
            while self._definitions is None or self._version() != self._definitions.version:
                version = self._version()
                self._unless_just_failed(version)
                self._definitions, self._matches = None, {}
                self._store.refresh_registry()
                if self._registry_file is None:
                    version = registry_version(self._store)
                self._definitions = read_definitions(self._store, version)
                METRICS.materialised_to.set(self._definitions.materialised_to.timestamp())
            return self._definitions

    def _unless_just_failed(self, version: object) -> None:
        """Reading is slow; the same again is tried every two seconds."""
        now = time.monotonic()
        if self._problem is not None and version == self._tried and now < self._look_again_at:
            raise self._problem.with_traceback(None)
        self._tried, self._look_again_at = version, now + RETRY_SECONDS

    def _open(self) -> "FeatureStore":
        from holdfast.feast_stores.open_store import open_store

        with _reading("feature store"):
            store = open_store(online_timeout=self._store_timeout)
        self._registry_file = _require_files(store.config, self._settings)
        return store

    def _version(self) -> object:
        assert self._store is not None
        if self._registry_file is None:
            self._store.registry.list_entities(self._store.project, allow_cache=True)  # renews it when its time is over
            return registry_version(self._store)
        try:
            file = self._registry_file.stat()
        except FileNotFoundError:
            raise NotReadyError("The registry does not exist.", _where(self._settings)) from None
        return file.st_mtime_ns, file.st_ino, file.st_size

    def _require_match(self, definitions: FeatureDefinitions, contract: ServedModel) -> None:
        assert self._store is not None
        model = (contract.model_sha256, frozenset(contract.fingerprint.items()))
        if model not in self._matches:
            try:
                with _reading("registry"):
                    require_match(self._store, definitions, contract)
                self._matches[model] = None
                LOG.info("The definitions in the registry are those of model version %s.", contract.model_version)
            except NotReadyError as error:
                self._matches[model] = error
        if problem := self._matches[model]:
            raise problem.with_traceback(None)

    def _say(self, problem: NotReadyError) -> None:
        if self._problem is None or str(self._problem) != str(problem):
            LOG.error("Not ready: %s", problem)
        self._problem = problem


def _require_files(config: "RepoConfig", settings: Settings) -> Path | None:
    """The registry's file, if it is one. Feast would create a missing registry or online store, empty."""
    places = {"registry": config.registry.path}
    if config.online_store.type == "sqlite":
        places["online store"] = config.online_store.path
    for what, place in places.items():
        if "://" not in place and not (settings.data / place).is_file():
            raise NotReadyError(f"The {what} does not exist.", _where(settings))
    return settings.data / places["registry"] if "://" not in places["registry"] else None


def _where(settings: Settings) -> str:
    return (
        f"It was looked for under HOLDFAST_DATA, {settings.data}. Build the features there "
        "(`python -m flows.features`), or name the folder that holds them."
    )


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Any failure inside is the store's: its reason goes to the log, not to the caller."""
    try:
        yield
    except NotReadyError:
        raise
    except Exception as error:
        raise NotReadyError(f"The {what} cannot be read now.", f"{type(error).__name__}: {error}") from error
