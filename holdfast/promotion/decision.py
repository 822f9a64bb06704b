"""Who decides about a promotion, and what was decided before."""

from datetime import datetime

from mlflow import MlflowClient

from holdfast.core.errors import PromotionRefusedError
from holdfast.model_versions.aliases import challenger_version, champion_version, get_version
from holdfast.model_versions.records import PromotionRecord
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.promotion.approval import approved_before, require_no_person
from holdfast.promotion.champion_update import Decision, passed_gates, unchanged


def candidate(client: MlflowClient, version: str | None) -> str:
    """The version by its number, or the challenger.

    Raises:
        UnknownVersionError: There is no such version.
        PromotionRefusedError: There is no challenger.
    """
    number = version or challenger_version(client)
    if number is None:
        raise PromotionRefusedError(
            f"{MODEL_NAME} has no {CHALLENGER}: no version has passed its gates since the last promotion. "
            f"{unchanged(champion_version(client))} `python -m flows.gates` judges the latest version and says why."
        )
    return str(get_version(client, number).version)


def decided_before(client: MlflowClient, version: str) -> Decision | None:
    """The decision about ``version`` that stands already: it is the champion, or nearly was when a run was killed.

    Raises:
        PromotionRefusedError: It did not pass its gates, or they were about other circumstances.
    """
    champion, record = champion_version(client), PromotionRecord.of(client, version)
    if champion == version:
        return _as_recorded(record) if record else Decision("auto", "unknown", f"it was {CHAMPION} before", "")
    gates = passed_gates(client, version, champion)
    if record is not None and record.gates == gates.key and record.previous == champion:
        return _as_recorded(record)
    return approved_before(client, version, gates)


def by_itself(client: MlflowClient, version: str, reason: str, now: datetime) -> Decision:
    """The decision about ``version`` where no person is asked: passing the gates is enough.

    Raises:
        PromotionRefusedError: It did not pass, or a person was asked.
    """
    if decision := decided_before(client, version):
        return decision
    require_no_person(client, version, now)
    gates = passed_gates(client, version, champion_version(client))
    return Decision("auto", "auto", reason or "all gates passed", gates.key)


def by_approval(client: MlflowClient, version: str) -> Decision:
    """The decision about ``version`` where only a person decides: their word about it, on the evidence of today.

    Raises:
        PromotionRefusedError: It did not pass, or nobody has approved it on that evidence.
    """
    if decision := decided_before(client, version):
        return decision
    raise PromotionRefusedError(
        f"Nobody has approved {MODEL_NAME} version {version} on the evidence that it stands on. "
        f"{unchanged(champion_version(client))}"
    )


def _as_recorded(record: PromotionRecord) -> Decision:
    return Decision(record.mode, record.who, record.why, record.gates)
