"""Moves ``champion`` back to a version that was champion before, with a reason."""

from dataclasses import dataclass
from datetime import datetime

from mlflow import MlflowClient

from feature_repo.model_contract import CHAMPION, MODEL_NAME
from feature_repo.settings import Settings
from flows.promotion.errors import RollbackError
from flows.promotion.moving import unchanged
from flows.promotion.records import PromotionRecord, RollbackRecord
from flows.promotion.registry import champion_version, get_version, promotion_lock, set_champion


@dataclass(frozen=True)
class Return:
    """A rollback: from which version to which."""

    version: str
    rolled_back: str
    moved: bool


def roll_back(client: MlflowClient, settings: Settings, to: str | None, why: str, who: str, now: datetime) -> Return:
    """Move ``champion`` back to ``to``, or to the champion before; the reason stays on the version that goes.

    Raises:
        RollbackError: There is no champion, none before it, or ``to`` never was one.
        UnknownVersionError: There is no version ``to``.
    """
    with promotion_lock(settings):
        champion = champion_version(client)
        if champion is None:
            raise RollbackError(f"{MODEL_NAME} has no {CHAMPION}: there is nothing to roll back.")
        if to == champion:
            return Return(to, champion, moved=False)
        target = previous_champion(client, champion) if to is None else _former_champion(client, to)
        earlier = RollbackRecord.of(client, champion)
        RollbackRecord(to=target, when=now, who=who, why=why, times=earlier.times + 1 if earlier else 1).save(
            client, champion
        )
        set_champion(client, target)
        return Return(target, champion, moved=True)


def previous_champion(client: MlflowClient, champion: str) -> str:
    """The champion before ``champion``, passing over those that were rolled back themselves.

    Raises:
        RollbackError: There is none.
    """
    seen, version = {champion}, champion
    while (record := PromotionRecord.of(client, version)) and record.previous and record.previous not in seen:
        version = record.previous
        seen.add(version)
        if RollbackRecord.of(client, version) is None:
            return version
    raise RollbackError(
        f"There is no champion before version {champion} that was not rolled back itself. {unchanged(champion)} "
        "Name a former champion with `--to`, or train and promote another."
    )


def _former_champion(client: MlflowClient, version: str) -> str:
    number = str(get_version(client, version).version)
    if PromotionRecord.of(client, number) is None:
        raise RollbackError(
            f"{MODEL_NAME} version {number} never was the {CHAMPION}. To make it one: "
            f"`python -m flows.promote --version {number}`."
        )
    return number
