"""Watcher of one model in the registry: versions that its aliases name are served a few seconds later."""

import logging
import threading
import time
from collections.abc import Callable, Collection

from holdfast.core.model_names import CHURN
from holdfast.models.contract import CHALLENGER, CHAMPION, ServedModel
from holdfast.models.loaded_version import LoadedVersion
from holdfast.models.registered_version import (
    NoRegistryError,
    NoSuchAliasError,
    RegisteredVersion,
    RegistryUnavailableError,
)
from holdfast.models.registry_client import RegistryClient, set_fail_fast_env
from holdfast.models.remedies import first_model
from services.errors import NotReadyError
from services.models.loader import Load, load_served_model
from services.models.model_selector import ModelSelector, NamedVersions
from services.models.served_models import ServedModels
from services.models.serving_state import ServingState, serving_state
from services.observability.logs import LOG


class RegistryWatcher:
    """Versions of one model in service, and a thread that updates them from the registry.

    Each model has its own watcher, so that neither a problem nor a slow download of one delays another.

    Args:
        registry: Registry; None: the model in the bento is served, and no thread is started.
        load_bento_model: Loads the model in the bento; raises NotReadyError without one.
        require_definitions: Raises NotReadyError if the definitions of a contract cannot be read. Called from the
            thread and from ``start``.
        retain_definitions: Takes the versions of the definitions that the loaded models read; called after each poll.
        poll_seconds: Seconds between two polls. A moved alias is served after this time plus download and loading.
        start_timeout: Seconds that a start waits for the registry's champion, so that an outdated model in the bento
            is not served; afterwards it is served until the registry responds.
        load_timeout: Seconds that a start waits for download and loading of that champion.
        load: Loader of the model's kind.
        model: Name of the model. The absence of churn is an error, that of another model is none.
    """

    def __init__(
        self,
        registry: RegistryClient | None,
        load_bento_model: Callable[[], LoadedVersion],
        require_definitions: Callable[[ServedModel], object],
        retain_definitions: Callable[[Collection[str]], None],
        *,
        poll_seconds: float = 3.0,
        start_timeout: float = 3.0,
        load_timeout: float = 30.0,
        load: Load = load_served_model,
        model: str = CHURN,
    ) -> None:
        self._registry, self._load_bento_model = registry, load_bento_model
        self._require_definitions, self._retain_definitions = require_definitions, retain_definitions
        self._load, self._model = load, model
        self._poll_seconds, self._start_timeout, self._load_timeout = poll_seconds, start_timeout, load_timeout
        self._selector: ModelSelector | None = None
        self._named: NamedVersions | None = None
        self._models: ServedModels | None = None
        self._not_ready = NotReadyError(f"The model{self._suffix} is not loaded.")
        self._responded, self._polled, self._wake = threading.Event(), threading.Event(), threading.Event()
        self._stopped = False
        self._last_error = ""
        self._reachable: bool | None = None
        self._last_success: float | None = None
        self._thread: threading.Thread | None = None
        self.state = ServingState()
        """State of model serving; replaced after each poll."""

    @property
    def models(self) -> ServedModels:
        """Return the models in service; read this once per batch.

        Raises:
            NotReadyError: No model is loaded yet.
        """
        if self._models is None:
            raise NotReadyError(self._not_ready.message, self._not_ready.remedy)
        return self._models

    @property
    def _suffix(self) -> str:
        return "" if self._model == CHURN else f" {self._model}"

    def start(self) -> None:
        """Load the first models, start to poll the registry, and wait for its champion."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Load the model in the bento, and start to poll the registry."""
        try:
            bento_model: LoadedVersion | None = self._load_bento_model()
        except NotReadyError as error:
            self._not_ready, bento_model = NotReadyError(error.message, error.remedy), None
        registry = self._registry
        self._selector = ModelSelector(
            registry.download_model if registry else _no_registry,
            self._require_definitions,
            bento_model,
            load=self._load,
        )
        del bento_model  # the selector drops it when it is replaced
        self._models = self._selector.models
        self.state = serving_state(self._selector, None, None, note=None)
        if registry is None:
            return
        set_fail_fast_env()
        registry.warm_up()
        self._thread = threading.Thread(target=self._run, name="registry-watcher", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the registry's champion is loaded, or the start continues without it."""
        if self._thread is None:
            pass
        elif self._responded.wait(self._start_timeout):
            self._polled.wait(self._load_timeout)
        else:
            LOG.warning(
                "The model registry has not responded within %s s; the start%s continues without it.",
                self._start_timeout,
                self._suffix and f" of{self._suffix}",
            )
        self._log_if_missing()

    def stop(self) -> None:
        """Stop the thread, without waiting for a request to the registry that is in progress."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._poll()
                self._last_error = ""
            except Exception as error:  # the thread must survive
                if self._last_error != repr(error):
                    LOG.exception("Unexpected error while polling the model registry")
                self._last_error = repr(error)
            self._responded.set()
            self._polled.set()
            self._wake.wait(self._poll_seconds)

    def _poll(self) -> None:
        assert self._selector is not None
        self._read_aliases()
        self._responded.set()
        if self._named is not None:  # also the last response: the features of the version may be readable now
            self._selector.reconcile(self._named)
        self._publish()

    def _read_aliases(self) -> None:
        try:
            self._named = NamedVersions(self._resolve_alias(CHAMPION), self._resolve_alias(CHALLENGER))
        except NoRegistryError as error:
            if self._last_success is not None:
                self._on_registry_down(error)
            return
        except RegistryUnavailableError as error:
            self._on_registry_down(error)
            return
        if self._reachable is False:
            LOG.info("The model registry can be read again.")
        self._reachable, self._last_success = True, time.time()

    def _resolve_alias(self, alias: str) -> RegisteredVersion | None:
        assert self._registry is not None
        try:
            return self._registry.get_by_alias(alias)
        except NoRegistryError:
            raise
        except NoSuchAliasError:
            return None

    def _on_registry_down(self, error: Exception) -> None:
        if self._reachable is not False:
            LOG.error("The model registry cannot be read; the models in service stay. %s", error)
        self._reachable = False

    def _publish(self) -> None:
        assert self._selector is not None
        models = self._models = self._selector.models
        self._retain_definitions(self._selector.definitions)
        note = self._alias_note(models)
        if models is None:
            problems = self._selector.problems.values()
            if self._named is not None and self._model != CHURN:
                self._not_ready = NotReadyError(f"The model {self._model} has no champion.", first_model(self._model))
            self._not_ready = next((problem.to_error() for problem in problems), self._not_ready)
        if note and note != self.state.note:
            LOG.log(logging.WARNING if self._model == CHURN or models else logging.INFO, note)
        self.state = serving_state(self._selector, self._reachable, self._last_success, note)

    def _alias_note(self, models: ServedModels | None) -> str | None:
        serves = "" if models is None else " The models in service stay."
        of_model = self._suffix and f" of{self._suffix}"
        if self._registry is not None and self._last_success is None:
            return f"The model registry has not named a champion{of_model} yet.{serves}"
        if self._named is not None and self._named.champion is None:
            return f"The model registry names no champion{of_model}.{serves}"
        return None

    def _log_if_missing(self) -> None:
        if self._models is None:
            level = logging.ERROR if self._model == CHURN or self._selector_has_problems() else logging.INFO
            LOG.log(level, "Not ready: %s", self._not_ready)

    def _selector_has_problems(self) -> bool:
        return self._selector is not None and bool(self._selector.problems)


def _no_registry(contract: ServedModel) -> bytes:
    raise NotReadyError(f"There is no registry to download version {contract.model_version} from.")
