"""Selection of the served model versions from the registry's aliases, with the model in the bento as fallback."""

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast.core.model_names import CHURN
from holdfast.models.contract import CHALLENGER, CHAMPION, ServedModel
from holdfast.models.loaded_version import LoadedVersion
from holdfast.models.promotion_signature import require_signed
from holdfast.models.registered_version import (
    NotServableError,
    RegisteredVersion,
    RegistryError,
    RegistryUnavailableError,
    Traffic,
)
from services.errors import NotReadyError
from services.models.loader import Load, load_served_model
from services.models.served_models import ServedModels
from services.observability.logs import LOG

_OFF = Traffic(mode="off")
_RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class NamedVersions:
    """Versions that the registry's aliases name; None without the alias."""

    champion: RegisteredVersion | None
    challenger: RegisteredVersion | None


@dataclass(frozen=True)
class ServingProblem:
    """Reason why a version cannot be served.

    Attributes:
        message: Sentence for callers, if there is no other version.
        reason: Text for the operator.
        is_unavailable: The registry or its artifact store cannot be read now; nothing else is wrong.
    """

    message: str
    reason: str
    is_unavailable: bool = False

    def to_error(self) -> NotReadyError:
        """Convert to the error of a service without another version.

        Returns:
            Error for callers and log.
        """
        return NotReadyError(self.message, self.reason.removeprefix(self.message).strip())


class ModelSelector:
    """Selector of the served models; not thread-safe.

    If a version cannot be served, the models in service stay. A problem with a version's file is remembered for a
    minute, or until another version is named. That the features of a version can be read is checked at each call; a
    challenger loses its traffic meanwhile.

    Args:
        download: Downloads the file of a version.
        require_definitions: Raises NotReadyError if the definitions of a contract cannot be read.
        bento_model: Served until the registry names another version.
        clock: Current time; a challenger's lease ends by it.
        load: Loader of the model's kind.
    """

    def __init__(
        self,
        download: Callable[[ServedModel], bytes],
        require_definitions: Callable[[ServedModel], object],
        bento_model: LoadedVersion | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        load: Load = load_served_model,
    ) -> None:
        self._download, self._require_definitions, self._clock = download, require_definitions, clock
        self._load_file = load
        self._bento_model = weakref.ref(bento_model) if bento_model else None
        self._previous: LoadedVersion | None = None  # served until the definitions of no model could be read
        self._failed_loads: dict[str, tuple[ServedModel, ServingProblem, float]] = {}
        self.models = ServedModels(bento_model) if bento_model else None
        self.problems: dict[str, ServingProblem] = {}

    @property
    def is_from_bento(self) -> bool:
        """Return True if the champion is the model in the bento."""
        return bool(self.models and self._bento_model and self._bento_model() is self.models.champion)

    @property
    def definitions(self) -> set[str]:
        """Return the versions of the feature definitions that the loaded models read."""
        return {model.definitions for model in self._loaded()}

    def reconcile(self, named: NamedVersions) -> None:
        """Serve the named versions as far as possible; ``problems`` holds the others by version.

        Args:
            named: Versions that the registry's aliases name.
        """
        problems: dict[str, ServingProblem] = {}
        champion = self._select_champion(named.champion, problems)
        if champion is not None:
            challenger, traffic = self._select_challenger(champion, named.challenger, problems)
            self._swap_in(champion, challenger, traffic)
        for version, problem in problems.items():
            if self.problems.get(version) != problem:
                LOG.error("Version %s is named by the registry, but not served: %s", version, problem.reason)
        self.problems = problems
        self._failed_loads = {version: failed for version, failed in self._failed_loads.items() if version in problems}

    def _select_champion(
        self, version: RegisteredVersion | None, problems: dict[str, ServingProblem]
    ) -> LoadedVersion | None:
        current = self.models.champion if self.models else None
        if version is None:
            return current
        try:
            require_signed(version, CHAMPION)
            contract = version.contract()
            model = self._find_loaded(contract)
            if model is not None and model is current and self._previous is None:
                return current
            problem = self._match_problem(contract)
            if problem is not None:
                others = [other for other in (current, self._previous) if other is not None and other is not model]
                matching = next((other for other in others if self._match_problem(other.contract) is None), None)
                if matching is not None:
                    self._previous = None
                    problems[version.number] = problem
                    return matching
            # If the definitions of no model can be read, no request is served: use the named version.
            model = model or self._load(contract)
            previous = self._previous or (current if current is not model else None)
            self._previous = previous if problem is not None else None
            return model
        except (RegistryError, _NotServedError) as error:
            problems[version.number] = _to_problem(error, version.number)
            return current

    def _select_challenger(
        self, champion: LoadedVersion, version: RegisteredVersion | None, problems: dict[str, ServingProblem]
    ) -> tuple[LoadedVersion | None, Traffic]:
        if version is None or version.number == champion.contract.model_version:
            return None, _OFF
        try:
            traffic = version.traffic().active_at(self._clock())
            if traffic.mode == "off":
                return None, _OFF
            require_signed(version, CHALLENGER)
            contract = version.contract()
            same = contract.definitions == champion.definitions and contract.inputs == champion.contract.inputs
            if not same and (problem := self._match_problem(contract)):
                raise _NotServedError(problem)
            return self._find_loaded(contract) or self._load(contract), traffic
        except (RegistryError, _NotServedError) as error:
            problems[version.number] = _to_problem(error, version.number)
            return None, _OFF

    def _find_loaded(self, contract: ServedModel) -> LoadedVersion | None:
        return next((model for model in self._loaded() if model.contract == contract), None)

    def _loaded(self) -> list[LoadedVersion]:
        models = [self.models.champion, self.models.challenger] if self.models else []
        return [model for model in (*models, self._previous) if model is not None]

    def _load(self, contract: ServedModel) -> LoadedVersion:
        version = contract.model_version
        if version in self._failed_loads:
            failed_contract, problem, until = self._failed_loads[version]
            if failed_contract == contract and time.monotonic() < until:
                raise _NotServedError(problem)
        try:
            return self._load_file(contract, self._download(contract))
        except (NotServableError, NotReadyError) as error:
            problem = _to_problem(error, version)
        self._failed_loads[version] = (contract, problem, time.monotonic() + _RETRY_SECONDS)
        raise _NotServedError(problem)

    def _match_problem(self, contract: ServedModel) -> ServingProblem | None:
        try:
            self._require_definitions(contract)
        except NotReadyError as error:
            return _to_problem(error, contract.model_version)
        return None

    def _swap_in(self, champion: LoadedVersion, challenger: LoadedVersion | None, traffic: Traffic) -> None:
        mode = None if traffic.mode == "off" else traffic.mode
        now = self.models
        if now and (now.champion, now.challenger, now.mode, now.share) == (champion, challenger, mode, traffic.share):
            return
        self.models = ServedModels(champion, challenger, mode, traffic.share)
        of_model = "" if champion.model == CHURN else f" of {champion.model}"
        served = f"Serving version {champion.contract.model_version}{of_model}"
        if challenger is not None:
            share = f" for {traffic.share:.1%} of the customers" if mode == "canary" else ""
            served += f", with version {challenger.contract.model_version} as {mode}{share}"
        LOG.info("%s.", served)


class _NotServedError(Exception):
    """A version cannot be served."""

    def __init__(self, problem: ServingProblem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


def _to_problem(error: Exception, version: str) -> ServingProblem:
    """Convert to text: the traceback of an exception would keep the model file in memory."""
    if isinstance(error, _NotServedError):
        return error.problem
    if isinstance(error, NotReadyError):
        return ServingProblem(error.message, str(error))
    is_unavailable = isinstance(error, RegistryUnavailableError)
    return ServingProblem(f"Model version {version} cannot be served.", str(error), is_unavailable)
