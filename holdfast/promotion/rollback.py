"""Rollback of the alias ``champion`` to an earlier champion."""

from dataclasses import dataclass
from datetime import datetime

from feature_repo.settings import Settings
from holdfast.core.errors import RollbackError
from holdfast.core.identity import Proof
from holdfast.feature_store.definition_versions import list_versions as list_versions_of_definitions
from holdfast.feature_store.materialization import is_materializing, load_online_state
from holdfast.model_versions.aliases import (
    get_champion_version,
    get_version,
    list_versions,
    promotion_lock,
    set_champion,
)
from holdfast.model_versions.champion_history import ChampionHistory, read_champion_history
from holdfast.model_versions.definitions_in_use import find_definitions
from holdfast.model_versions.records import GatesRecord, RollbackRecord, parse_events
from holdfast.models.contract import CHAMPION
from holdfast.models.promotion_signature import UnsignedVersionError, require_signed
from holdfast.models.registered_version import RegisteredVersion
from holdfast.promotion.champion_update import unchanged_message
from holdfast.training.mlflow_client import ModelClient


@dataclass(frozen=True)
class RollbackCause:
    """Cause of a rollback.

    Attributes:
        who: Person or process.
        why: Reason, stored on the withdrawn version.
        when: Time of the rollback, UTC.
        flow_run: Id of the flow run, or a name for the step of a rollout; a repeated call with the same name completes
            the rollback.
        proof: Evidence for the name.
    """

    who: str
    why: str
    when: datetime
    flow_run: str = ""
    proof: Proof = "claimed"


@dataclass(frozen=True)
class RollbackResult:
    """Result of a rollback.

    Attributes:
        version: Champion after the call.
        rolled_back: Version that was champion before.
        moved: False if the alias was there already.
    """

    version: str
    rolled_back: str
    moved: bool
    why: str

    def summary(self) -> str:
        """Describe the champion and the next step.

        Returns:
            One line.
        """
        again = " again" if self.moved else ", as before"
        return f"{CHAMPION} is version {self.version}{again}. `python -m flows.package` puts it into a bento."

    def describe(self) -> str:
        """Describe the rollback and its reason for the Prefect UI.

        Returns:
            One or two sentences.
        """
        if not self.moved:
            return f"{CHAMPION} is version {self.version}, as before."
        return f"{CHAMPION} is version {self.version} again. Version {self.rolled_back} was rolled back: {self.why}"


def roll_back(
    client: ModelClient,
    settings: Settings,
    to: str | None,
    cause: RollbackCause,
    expected_champion: str | None = None,
) -> RollbackResult:
    """Move ``champion`` to an earlier champion; the reason is stored on the withdrawn version.

    After a kill, a call with the same ``flow_run`` completes the rollback and never goes back another version.

    Args:
        client: MLflow client.
        settings: Settings with the registry.
        to: Version to move to; the previous champion when None.
        cause: Who rolls back, and why.
        expected_champion: Version that must be the champion; of two concurrent rollbacks one then gets an error.

    Returns:
        Both versions.

    Raises:
        RollbackError: There is no champion, no earlier one that passed its gates, ``to`` was never champion, its
            features are not in the online store, or the champion is not ``expected_champion``.
        UnknownVersionError: There is no version ``to``.
    """
    with promotion_lock(settings):
        champion = get_champion_version(client)
        if champion is None:
            raise RollbackError(f"{client.model_name} has no {CHAMPION}: there is nothing to roll back.")
        if cause.flow_run and (started := _started_by(client, cause.flow_run)):
            return _finish(client, *started, champion)
        if expected_champion is not None and champion != expected_champion:
            raise RollbackError(
                f"The {CHAMPION} of {client.model_name} is version {champion}, not version {expected_champion}: "
                f"another process or person has moved it. {unchanged_message(champion)}"
            )
        if to == champion:
            _sign_again(client, champion)
            return RollbackResult(to, champion, moved=False, why=cause.why)
        past = read_champion_history(client)
        target = _former_champion(client, past, to) if to else _passed(client, _find_target(past, champion))
        _require_features(client, settings, target, champion)
        times = 1 + (past.rollbacks[champion][-1].times if past.rollbacks[champion] else 0)
        record = RollbackRecord(
            to=target,
            when=cause.when,
            who=cause.who,
            why=cause.why,
            times=times,
            flow_run=cause.flow_run,
            proof=cause.proof,
        )
        record.write_tag(client, champion)
        set_champion(client, target)
        record.append_event(client, champion)
        return RollbackResult(target, champion, moved=True, why=cause.why)


def _started_by(client: ModelClient, flow_run: str) -> tuple[str, RollbackRecord, bool] | None:
    """Return the version that a flow run rolled back, its record, and whether the event, the last step, is stored."""
    for item in list_versions(client):
        version = str(item.version)
        for event in parse_events(item.tags, version) or []:
            if isinstance(event, RollbackRecord) and event.flow_run == flow_run:
                return version, event, True
        record = RollbackRecord.from_tags(item.tags, version)
        if record is not None and record.flow_run == flow_run:
            return version, record, False
    return None


def _finish(
    client: ModelClient, withdrawn: str, record: RollbackRecord, is_reported: bool, champion: str
) -> RollbackResult:
    """Complete a rollback; a version that became champion later stays."""
    if champion != record.to and (is_reported or champion != withdrawn):
        return RollbackResult(champion, withdrawn, moved=False, why=record.why)
    set_champion(client, record.to)
    record.append_event(client, withdrawn)
    return RollbackResult(record.to, withdrawn, moved=True, why=record.why)


def _sign_again(client: ModelClient, champion: str) -> None:
    """Sign a champion that no service follows, as after a registry was restored from a copy; a person has named it."""
    try:
        require_signed(RegisteredVersion.from_mlflow(get_version(client, champion)), CHAMPION)
    except UnsignedVersionError as error:
        if read_champion_history(client).started_at(champion) is None:
            raise RollbackError(
                f"{CHAMPION} was moved to version {champion} without a promotion. Name the version that is to serve "
                "with `--to`."
            ) from error
        set_champion(client, champion)


def _find_target(past: ChampionHistory, champion: str) -> str:
    if target := past.rollback_target():
        return target
    raise RollbackError(
        f"There is no champion before version {champion} that was not rolled back itself. "
        f"{unchanged_message(champion)} Name a former champion with `--to`, or train and promote another."
    )


def _require_features(client: ModelClient, settings: Settings, version: str, champion: str) -> None:
    """Refuse a version whose feature definitions have no online values: a service could not score with it."""
    if (definitions := find_definitions(client, version)) is None:
        return  # a version of an early release, which the service refuses with its own reason
    problem = ""
    if definitions not in list_versions_of_definitions(settings):
        problem = "is not registered: it was retired, or its features are in another data folder"
    elif load_online_state(settings, definitions) is None and not is_materializing(settings):
        problem = "has no online values"
    if problem:
        raise RollbackError(
            f"Version {version} reads version {definitions} of the feature definitions, which {problem}. "
            f"{unchanged_message(champion)} Run `python -m flows.features` on the code that version {version} was "
            "trained with, then roll back; or train and promote another version."
        )


def _passed(client: ModelClient, version: str) -> str:
    gates = GatesRecord.load(client, version)
    if gates is not None and gates.verdict == "failed":
        raise RollbackError(
            f"The champion before is version {version}, which failed its last gates ({', '.join(gates.failed)}). The "
            f"champion is unchanged. To serve it anyway, name it: `--to {version}`."
        )
    return version


def _former_champion(client: ModelClient, past: ChampionHistory, version: str) -> str:
    number = str(get_version(client, version).version)
    if not past.was_champion(number):
        raise RollbackError(
            f"{client.model_name} version {number} was never {CHAMPION}. To promote it: "
            f"`python -m flows.promote --version {number}`."
        )
    return number
