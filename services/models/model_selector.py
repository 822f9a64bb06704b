"""Who serves: what the registry names, as far as it can be followed."""

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast.models.contract import ServedModel
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.registered_version import (
    NotServableError,
    RegisteredVersion,
    RegistryError,
    RegistryUnavailableError,
    Traffic,
)
from services.errors import NotReadyError
from services.models.loader import load_model
from services.models.served_models import ServedModels
from services.observability.logs import LOG

_OFF = Traffic(mode="off")

TRY_AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class NamedVersions:
    """The versions that the registry's aliases name; None where there is no such alias."""

    champion: RegisteredVersion | None
    challenger: RegisteredVersion | None


@dataclass(frozen=True)
class ServingProblem:
    """Why a version does not serve: for the callers of a service that has no other, and for who runs it.

    ``is_away``: nothing is known against it, but the registry, or its store of files, does not give it now.
    """

    message: str
    reason: str
    is_away: bool = False

    def not_ready(self) -> NotReadyError:
        """What a service answers that has no other version."""
        return NotReadyError(self.message, self.reason.removeprefix(self.message).strip())


class ModelSelector:
    """Takes up what the registry names, one look after another. It is no thread's but the caller's.

    A version that cannot be served is refused and who served goes on, for whatever is served now is better than
    nothing. What is wrong with a version's file is remembered for a minute, or until another version is named; whether
    it fits the definitions in use is asked at each look.

    Args:
        file_of: Downloads the file of a version.
        definitions: Raises NotReadyError where the definitions in use are not those of a contract.
        baked: Serves until the registry names another.
        clock: The time by which the challenger's traffic ends where it was given for a time only.
    """

    def __init__(
        self,
        file_of: Callable[[ServedModel], bytes],
        definitions: Callable[[ServedModel], object],
        baked: LoadedModel | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._file_of, self._definitions, self._clock = file_of, definitions, clock
        self._from_bento = weakref.ref(baked) if baked else None
        self._before: LoadedModel | None = None  # who served until nobody fitted the definitions
        self._hopeless: dict[str, tuple[ServedModel, ServingProblem, float]] = {}
        self.lineup = ServedModels(baked) if baked else None
        self.refused: dict[str, ServingProblem] = {}

    @property
    def is_from_bento(self) -> bool:
        """Whether the champion is the model that came with the bento."""
        return bool(self.lineup and self._from_bento and self._from_bento() is self.lineup.champion)

    def follow(self, named: NamedVersions) -> None:
        """Let serve what is named, or who can instead; ``refused`` says who cannot and why, by version."""
        refused: dict[str, ServingProblem] = {}
        champion = self._champion(named.champion, refused)
        if champion is not None:
            challenger, traffic = self._challenger(champion, named.challenger, refused)
            self._take(champion, challenger, traffic)
        for version, refusal in refused.items():
            if self.refused.get(version) != refusal:
                LOG.error("Version %s is named by the registry, but not served: %s", version, refusal.reason)
        self.refused = refused
        self._hopeless = {version: known for version, known in self._hopeless.items() if version in refused}

    def _champion(self, version: RegisteredVersion | None, refused: dict[str, ServingProblem]) -> LoadedModel | None:
        current = self.lineup.champion if self.lineup else None
        if version is None:
            return current
        try:
            contract = version.contract()
            model = self._loaded(contract)
            if model is not None and model is current and self._before is None:
                return current
            problem = self._problem(contract)
            if problem is not None:
                others = [other for other in (current, self._before) if other is not None and other is not model]
                fitting = next((other for other in others if self._problem(other.contract) is None), None)
                if fitting is not None:
                    self._before = None
                    refused[version.number] = problem
                    return fitting
            # Where nobody fits the definitions, or they cannot be read, nobody answers: then the registry's word holds.
            model = model or self._load(contract)
            before = self._before or (current if current is not model else None)
            self._before = before if problem is not None else None
            return model
        except (RegistryError, _NotServedError) as error:
            refused[version.number] = _refusal(error, version.number)
            return current

    def _challenger(
        self, champion: LoadedModel, version: RegisteredVersion | None, refused: dict[str, ServingProblem]
    ) -> tuple[LoadedModel | None, Traffic]:
        if version is None or version.number == champion.contract.model_version:
            return None, _OFF
        try:
            traffic = version.traffic().active_at(self._clock())
            if traffic.mode == "off":
                return None, _OFF
            contract = version.contract()
            if parts := contract.differing_definitions(champion.contract):
                raise NotServableError(
                    f"Version {version.number} was trained on other definitions than version "
                    f"{champion.contract.model_version}, beside which it would serve: {', '.join(parts)} differ."
                )
            return self._loaded(contract) or self._load(contract), traffic
        except (RegistryError, _NotServedError) as error:
            refused[version.number] = _refusal(error, version.number)
            return None, _OFF

    def _loaded(self, contract: ServedModel) -> LoadedModel | None:
        known = [self.lineup.champion, self.lineup.challenger] if self.lineup else []
        return next((model for model in (*known, self._before) if model and model.contract == contract), None)

    def _load(self, contract: ServedModel) -> LoadedModel:
        version = contract.model_version
        if version in self._hopeless:
            its, refusal, until = self._hopeless[version]
            if its == contract and time.monotonic() < until:
                raise _NotServedError(refusal)
        try:
            return load_model(contract, self._file_of(contract))
        except (NotServableError, NotReadyError) as error:
            refusal = _refusal(error, version)
        self._hopeless[version] = (contract, refusal, time.monotonic() + TRY_AGAIN_SECONDS)
        raise _NotServedError(refusal)

    def _problem(self, contract: ServedModel) -> ServingProblem | None:
        try:
            self._definitions(contract)
        except NotReadyError as error:
            return _refusal(error, contract.model_version)
        return None

    def _take(self, champion: LoadedModel, challenger: LoadedModel | None, traffic: Traffic) -> None:
        mode = None if traffic.mode == "off" else traffic.mode
        now = self.lineup
        if now and (now.champion, now.challenger, now.mode, now.share) == (champion, challenger, mode, traffic.share):
            return
        self.lineup = ServedModels(champion, challenger, mode, traffic.share)
        served = f"Version {champion.contract.model_version} serves"
        if challenger is not None:
            share = f" for {traffic.share:.1%} of the customers" if mode == "canary" else ""
            served += f", beside it version {challenger.contract.model_version} as {mode}{share}"
        LOG.info("%s.", served)


class _NotServedError(Exception):
    """A version does not serve."""

    def __init__(self, refusal: ServingProblem) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def _refusal(error: Exception, version: str) -> ServingProblem:
    """Its text alone: a traceback would keep alive what was read when it was raised."""
    if isinstance(error, _NotServedError):
        return error.refusal
    if isinstance(error, NotReadyError):
        return ServingProblem(error.message, str(error))
    is_away = isinstance(error, RegistryUnavailableError)
    return ServingProblem(f"Model version {version} cannot be served.", str(error), is_away)
