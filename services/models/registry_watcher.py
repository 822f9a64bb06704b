"""Follows the model registry while the service runs: whom its aliases name, serves a few seconds later."""

import threading
import time
from collections.abc import Callable

from holdfast.models.contract import CHALLENGER, CHAMPION, ServedModel
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.registered_version import (
    NoRegistryError,
    NoSuchAliasError,
    RegisteredVersion,
    RegistryUnavailableError,
)
from holdfast.models.registry_client import RegistryClient, set_fail_fast_env
from services.errors import NotReadyError
from services.models.model_selector import ModelSelector, NamedVersions
from services.models.served_models import ServedModels
from services.models.watch_state import ServingState, state_of
from services.observability.logs import LOG


class RegistryWatcher:
    """The models in service, and a thread that keeps them those that the registry names.

    Args:
        registry: None: the model of the bento serves, and no thread is started.
        baked: Loads the model that came with the bento; raises NotReadyError where there is none.
        definitions: Raises NotReadyError where the definitions in use are not those of a contract. It is called from
            the thread and from ``start``.
        poll_seconds: From one look to the next. A moved alias serves after this and the time of download and loading.
        answer_within: At the start the registry may take this long to name its champion, so that the model of the
            bento does not serve where it was replaced since. Then the bento's serves until the registry answers.
        load_within: Once it has named one, how long its download and loading may hold up the start.
    """

    def __init__(
        self,
        registry: RegistryClient | None,
        baked: Callable[[], LoadedModel],
        definitions: Callable[[ServedModel], object],
        *,
        poll_seconds: float = 3.0,
        answer_within: float = 3.0,
        load_within: float = 30.0,
    ) -> None:
        self._registry, self._baked, self._definitions = registry, baked, definitions
        self._poll_seconds, self._answer_within, self._load_within = poll_seconds, answer_within, load_within
        self._succession: ModelSelector | None = None
        self._named: NamedVersions | None = None
        self._lineup: ServedModels | None = None
        self._missing = NotReadyError("The model is not loaded.")
        self._answered, self._looked, self._wake = threading.Event(), threading.Event(), threading.Event()
        self._stopped = False
        self._unexpected = ""
        self._reachable: bool | None = None
        self._last_success: float | None = None
        self._thread: threading.Thread | None = None
        self.state = ServingState()
        """How things stand; a new object whenever something changes."""

    @property
    def lineup(self) -> ServedModels:
        """The models to score with; take it once per request.

        Raises:
            NotReadyError: There is none yet.
        """
        if self._lineup is None:
            raise NotReadyError(self._missing.message, self._missing.remedy)
        return self._lineup

    def start(self) -> None:
        """Load what is to serve first, and follow the registry from then on."""
        try:
            baked: LoadedModel | None = self._baked()
        except NotReadyError as problem:
            self._missing, baked = NotReadyError(problem.message, problem.remedy), None
        registry = self._registry
        self._succession = ModelSelector(registry.download_model if registry else _no_file, self._definitions, baked)
        del baked  # the succession alone decides how long it is kept
        self._lineup = self._succession.lineup
        self.state = state_of(self._succession, None, None, "")
        if registry is None:
            self._log_if_missing()
            return
        set_fail_fast_env()
        registry.warm_up()
        self._thread = threading.Thread(target=self._run, name="model-watch", daemon=True)
        self._thread.start()
        if self._answered.wait(self._answer_within):
            self._looked.wait(self._load_within)
        else:
            LOG.warning("The model registry has not answered within %s s; it goes on without.", self._answer_within)
        self._log_if_missing()

    def stop(self) -> None:
        """End the thread; a question under way is not waited for."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._look()
                self._unexpected = ""
            except Exception as error:  # the thread must live
                if self._unexpected != repr(error):
                    LOG.exception("Unexpected error while following the model registry")
                self._unexpected = repr(error)
            self._answered.set()
            self._looked.set()
            self._wake.wait(self._poll_seconds)

    def _look(self) -> None:
        assert self._succession is not None
        self._ask()
        self._answered.set()
        if self._named is not None:  # also what it said last: it may fit the definitions by now
            self._succession.follow(self._named)
        self._publish()

    def _ask(self) -> None:
        try:
            self._named = NamedVersions(self._behind(CHAMPION), self._behind(CHALLENGER))
        except NoRegistryError as error:
            if self._last_success is not None:
                self._lost(error)
            return
        except RegistryUnavailableError as error:
            self._lost(error)
            return
        if self._reachable is False:
            LOG.info("The model registry answers again.")
        self._reachable, self._last_success = True, time.time()

    def _behind(self, alias: str) -> RegisteredVersion | None:
        assert self._registry is not None
        try:
            return self._registry.get_by_alias(alias)
        except NoRegistryError:
            raise
        except NoSuchAliasError:
            return None

    def _lost(self, error: Exception) -> None:
        if self._reachable is not False:
            LOG.error("The model registry does not answer; what serves goes on serving. %s", error)
        self._reachable = False

    def _publish(self) -> None:
        assert self._succession is not None
        succession, lineup, refused = self._succession, self._succession.lineup, self._succession.refused
        self._lineup = lineup
        if lineup is None:
            self._missing = next((refusal.not_ready() for refusal in refused.values()), self._missing)
        note = self._note(lineup)
        if note and note != self.state.note:
            LOG.warning(note)
        self.state = state_of(succession, self._reachable, self._last_success, note)

    def _note(self, lineup: ServedModels | None) -> str:
        serves = "" if lineup is None else " What served last goes on."
        if self._registry is not None and self._last_success is None:
            return f"The model registry has not named a champion yet.{serves}"
        if self._named is not None and self._named.champion is None:
            return f"The model registry names no champion.{serves}"
        return ""

    def _log_if_missing(self) -> None:
        if self._lineup is None:
            LOG.error("Not ready: %s", self._missing)


def _no_file(contract: ServedModel) -> bytes:
    raise NotReadyError(f"There is no registry to download version {contract.model_version} from.")
