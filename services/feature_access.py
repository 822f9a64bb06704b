"""The feature store as one model needs it: opened when it is there, trusted only while it matches the model."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from feature_repo.model_contract import (
    FEATURE_SERVICE,
    Feature,
    Freshness,
    ServedModel,
    differing_parts,
    fingerprint,
    freshness,
    model_inputs,
)
from feature_repo.settings import Settings
from services.errors import NotReadyError, StoreUnavailableError
from services.online_features import FeatureRow, read_features, stored_features

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore
    from feast.repo_config import RepoConfig

_log = logging.getLogger("bentoml.holdfast")
_RETRY_SECONDS = 2.0
_PROBE = "readiness probe"


@dataclass(frozen=True)
class Definitions:
    """What the registry said when it was last found to match the model."""

    version: object
    service: "FeatureService"
    inputs: list[Feature]
    stored: list[Feature]
    limits: dict[str, Freshness]


class FeatureAccess:
    """Reads features for one model.

    Feast takes up a changed registry while it runs. So each read makes sure that the definitions are those the
    model was trained on, and compares them anew whenever the registry changed. A store that is not there yet is
    looked for again, at most every two seconds.
    """

    def __init__(self, contract: ServedModel, settings: Settings) -> None:
        self._contract = contract
        self._settings = settings
        self._store: FeatureStore | None = None
        self._definitions: Definitions | None = None
        self._problem: str | None = None
        self._looked_at = -_RETRY_SECONDS
        self._lock = threading.Lock()  # /readyz asks from a thread of its own

    def definitions(self) -> Definitions:
        """The definitions to score with.

        Raises:
            NotReadyError: The store cannot be read, or its definitions are not the model's.
        """
        with self._lock:
            if self._problem is not None and time.monotonic() - self._looked_at < _RETRY_SECONDS:
                raise NotReadyError(self._problem)
            try:
                self._definitions = self._verified()
            except NotReadyError as error:
                if self._problem != error.message:
                    _log.error("Not ready: %s", error.message)
                self._problem, self._looked_at, self._definitions = error.message, time.monotonic(), None
                raise
            self._problem = None
            return self._definitions

    def read(self, customer_ids: Sequence[str], as_of: datetime | None) -> tuple[Definitions, list[FeatureRow]]:
        """Rows of ``customer_ids`` with the definitions they were read with; see ``read_features``."""
        while True:
            definitions = self.definitions()
            rows = self._rows(definitions, customer_ids, as_of)
            if self._version() == definitions.version:
                return definitions, rows

    def _rows(self, definitions: Definitions, customer_ids: Sequence[str], as_of: datetime | None) -> list[FeatureRow]:
        assert self._store is not None
        with _reading("online store"):
            return read_features(self._store, definitions.service, definitions.stored, customer_ids, as_of)

    def _verified(self) -> Definitions:
        if self._store is None:
            from feature_repo.stores import open_store

            with _reading("feature store"):
                store = open_store()
            _require_files(store.config, self._settings)
            self._store = store
        version = self._refreshed_version()
        if self._definitions is not None and self._definitions.version == version:
            return self._definitions
        with _reading("registry"):
            definitions = self._matching()
        self._rows(definitions, [_PROBE], None)
        _log.info("The feature definitions in the registry are those of the model.")
        return definitions

    def _matching(self) -> Definitions:
        store = self._store
        assert store is not None
        while True:
            version = self._version()
            inputs = model_inputs(store)
            actual = fingerprint(store, self._settings.horizon_days, self._settings.activity_days)
            service, limits = store.get_feature_service(FEATURE_SERVICE), freshness(store)
            if self._version() == version:  # else it changed between two of the reads
                break
        parts = differing_parts(self._contract.fingerprint, actual)
        if [feature.name for feature in inputs] != self._contract.inputs:
            parts.append("inputs")
        if self._contract.feature_service != FEATURE_SERVICE:
            parts.append("feature service's name")
        if parts:
            raise NotReadyError(
                f"Model version {self._contract.model_version} was trained on other definitions than those in use: "
                f"{', '.join(parts)} differ. Serve the code and run `feast apply` of the version it was trained "
                "with, or train and promote a model on these definitions."
            )
        return Definitions(version, service, inputs, stored_features(inputs, list(limits)), limits)

    def _refreshed_version(self) -> object:
        assert self._store is not None
        with _reading("registry"):
            services = self._store.registry.list_feature_services(self._store.project, allow_cache=True)
        if FEATURE_SERVICE not in [service.name for service in services]:
            raise StoreUnavailableError(f"The registry has no feature service {FEATURE_SERVICE}. Run `feast apply`.")
        return self._version()

    def _version(self) -> object:
        assert self._store is not None
        proto: Any = self._store.registry.proto()
        return proto.version_id, proto.last_updated.ToNanoseconds()


def _require_files(config: "RepoConfig", settings: Settings) -> None:
    """Feast would create a missing registry or online store, empty; a service must not."""
    places = {"registry": config.registry.path}
    if config.online_store.type == "sqlite":
        places["online store"] = config.online_store.path
    for what, place in places.items():
        if "://" not in place and not (settings.data / place).is_file():
            raise StoreUnavailableError(
                f"The {what} does not exist where HOLDFAST_DATA says. Build the features first "
                "(`python -m flows.features`), or point HOLDFAST_DATA at the folder that holds them."
            )


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Any failure inside is the store's: logged with its reason, told to the caller without it."""
    try:
        yield
    except NotReadyError:
        raise
    except Exception as error:
        _log.error("Reading the %s failed: %s: %s", what, type(error).__name__, error)
        raise StoreUnavailableError(f"The {what} cannot be read now. The service's log has the reason.") from error
