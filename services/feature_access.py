"""The feature store as one model needs it: opened when it is there, trusted only while it matches the model."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from feature_repo.model_contract import FEATURE_SERVICE, ServedModel
from feature_repo.settings import Settings
from services.definitions import Definitions, read_definitions, registry_version
from services.errors import NotReadyError
from services.online_features import FeatureRow, read_features

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

_log = logging.getLogger("bentoml.holdfast")
_RETRY_SECONDS = 2.0
_PROBE = "readiness probe"


class FeatureAccess:
    """Reads features for one model.

    Feast takes up a changed registry while it runs. So each read makes sure that the definitions are those the
    model was trained on, and compares them anew whenever the registry changed. A store that is not there yet is
    looked for again, at most every two seconds. Each problem is logged once, when it begins.
    """

    def __init__(self, contract: ServedModel, settings: Settings) -> None:
        self._contract = contract
        self._settings = settings
        self._store: FeatureStore | None = None
        self._definitions: Definitions | None = None
        self._problem: NotReadyError | None = None
        self._look_again_at = 0.0
        self._lock = threading.Lock()  # /readyz asks from a thread of its own

    def definitions(self) -> Definitions:
        """The definitions to score with.

        Raises:
            NotReadyError: The store cannot be read, its definitions are not the model's, or it holds nothing yet.
        """
        with self._lock:
            if self._problem is not None and time.monotonic() < self._look_again_at:
                raise self._problem.with_traceback(None)
            try:
                definitions = self._verified()
            except NotReadyError as error:
                self._failed(error, _RETRY_SECONDS)
                raise
            self._definitions, self._problem = definitions, None
            return definitions

    def read(self, customer_ids: Sequence[str], as_of: datetime | None) -> tuple[Definitions, list[FeatureRow]]:
        """Rows of ``customer_ids`` with the definitions they were read with.

        Without ``as_of`` the time of the request is the end of the last finished materialisation (replay).
        """
        refreshed = False
        while True:
            definitions = self.definitions()
            moment = as_of or definitions.materialised_to
            rows = self._rows(definitions, customer_ids, moment)
            if as_of is None and not refreshed and any(row.is_later_than(moment) for row in rows):
                self._refresh()  # a registry in a database may be a minute old in Feast's memory
                refreshed = True
            elif self._version() == definitions.version:
                return definitions, rows

    def _rows(self, definitions: Definitions, customer_ids: Sequence[str], as_of: datetime) -> list[FeatureRow]:
        assert self._store is not None
        try:
            with _reading("online store"):
                return read_features(self._store, definitions.service, definitions.stored, customer_ids, as_of)
        except NotReadyError as error:
            self._failed(error, 0)
            raise

    def _failed(self, problem: NotReadyError, retry_seconds: float) -> None:
        if self._problem is None or str(self._problem) != str(problem):
            _log.error("Not ready: %s", problem)
        self._problem = NotReadyError(problem.message, problem.remedy)
        self._look_again_at = time.monotonic() + retry_seconds
        self._definitions = None

    def _verified(self) -> Definitions:
        if self._store is None:
            from feature_repo.stores import open_store

            with _reading("feature store"):
                store = open_store()
            _require_files(store.config, self._settings)
            self._store = store
        with _reading("registry"):
            version = self._refreshed_version(self._store)
            if self._definitions is not None and self._definitions.version == version:
                return self._definitions
            definitions = read_definitions(self._store, self._contract)
        self._rows(definitions, [_PROBE], definitions.materialised_to)
        _log.info("The feature definitions in the registry are those of the model.")
        return definitions

    def _refresh(self) -> None:
        assert self._store is not None
        with _reading("registry"):
            self._store.refresh_registry()

    def _version(self) -> object:
        assert self._store is not None
        return registry_version(self._store)

    @staticmethod
    def _refreshed_version(store: "FeatureStore") -> object:
        services = store.registry.list_feature_services(store.project, allow_cache=True)
        if FEATURE_SERVICE not in [service.name for service in services]:
            raise NotReadyError(f"The registry has no feature service {FEATURE_SERVICE}.", "Run `feast apply`.")
        return registry_version(store)


def _require_files(config: "RepoConfig", settings: Settings) -> None:
    """Feast would create a missing registry or online store, empty; a service must not."""
    places = {"registry": config.registry.path}
    if config.online_store.type == "sqlite":
        places["online store"] = config.online_store.path
    for what, place in places.items():
        if "://" not in place and not (settings.data / place).is_file():
            raise NotReadyError(
                f"The {what} does not exist.",
                f"It was looked for under HOLDFAST_DATA, {settings.data}. Build the features there "
                "(`python -m flows.features`), or name the folder that holds them.",
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
