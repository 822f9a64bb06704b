"""The next rollout: an unfinished one, or a challenger without a rollout."""

from dataclasses import dataclass, replace
from datetime import datetime

from filelock import FileLock
from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.core.errors import ApprovalRefusedError, PromotionRefusedError
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version, get_version, list_versions
from holdfast.model_versions.records import ApprovalRecord, GatesRecord, RolloutRecord, parse_events
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.promotion.approval import describe_rejection, pending_approval
from holdfast.promotion.champion_update import require_passed_gates
from holdfast.rollout.settings import RolloutSettings
from holdfast.rollout.steps import RolloutStep, next_step, settings_of


@dataclass(frozen=True)
class Work:
    """A rollout to run or to resume.

    Attributes:
        version: Version to roll out.
        champion: Champion to compare with.
        gates: Key of the passed gates.
        record: Latest record; None before the first step.
    """

    version: str
    champion: str | None
    gates: str
    record: RolloutRecord | None = None

    def step(self, rules: RolloutSettings) -> RolloutStep | None:
        """Return the current step; a resumed rollout uses its own settings.

        Args:
            rules: Settings of a new rollout.

        Returns:
            The step; None after the end of the rollout.
        """
        if self.record is not None and not self.record.is_open:
            return None
        return next_step(self.record, settings_of(self.record) if self.record else rules)

    def name(self, rules: RolloutSettings) -> str:
        """Return version and step as text.

        Args:
            rules: Settings of a new rollout.

        Returns:
            The text.
        """
        step = self.step(rules)
        return f"version {self.version}: {step.label}" if step else f"version {self.version}: over"

    def is_to_be_promoted(self, rules: RolloutSettings) -> bool:
        """Check that the last step before the promotion has passed.

        Args:
            rules: Settings of a new rollout.

        Returns:
            True if the promotion is next.
        """
        step = self.step(rules)
        return step is not None and step.name == "watch" and self.record is not None and self.record.step != "watch"

    def after(self, record: RolloutRecord) -> "Work":
        """Replace the record after the end of a step.

        Args:
            record: Record of the ended step.

        Returns:
            The remaining rollout.
        """
        return replace(self, record=record)

    def ended(self, why: str, now: datetime) -> RolloutRecord:
        """Build the record that ends the rollout here.

        Args:
            why: Reason.
            now: Current time, UTC.

        Returns:
            The record; the existing one if the rollout has ended already.
        """
        if self.record is None:
            known = {"champion": self.champion, "gates": self.gates, "begun": now, "when": now}
            return RolloutRecord(step="approval", share=0, verdict="stopped", why=why, **known)
        if not self.record.is_open:
            return self.record
        changed = {"verdict": "stopped", "when": now, "why": why, "is_held": True, "base": {}}
        return self.record.model_copy(update=changed)


def rollout_lock(settings: Settings, seconds: float = 0) -> FileLock:
    """Return the lock of the one active rollout; it guards one machine.

    Args:
        settings: Settings with the MLflow folder, which is created.
        seconds: Time until filelock raises ``Timeout``.

    Returns:
        The lock, not acquired.
    """
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.mlflow / "rollout.lock", timeout=seconds)


def find_work(client: MlflowClient, version: str | None = None) -> Work | str:
    """What to do next, a rollout that was killed first; or why there is nothing to do.

    A challenger whose rollout has ended gets another one when it has passed its gates again, or when ``version`` names
    it.

    Raises:
        UnknownVersionError: There is no such version.
        PromotionRefusedError: The ``version`` that was named cannot follow the champion of now.
    """
    if unfinished := _unfinished(client):
        return unfinished
    champion = get_champion_version(client)
    number = str(get_version(client, version).version) if version else get_challenger_version(client)
    if number is None:
        return f"{MODEL_NAME} has no {CHALLENGER}: there is nothing to roll out."
    if number == champion:
        return f"Version {number} is the {CHAMPION} already."
    ended, gates = RolloutRecord.load(client, number), GatesRecord.load(client, number)
    if ended is not None and version is None and gates is not None and ended.gates == gates.key:
        return f"Version {number} has had its rollout: {ended.summary}. `--version {number}` begins another."
    try:
        return Work(number, champion, require_passed_gates(client, number, champion).key)
    except PromotionRefusedError as refused:
        if version is not None:
            raise
        return str(refused)


def _unfinished(client: MlflowClient) -> Work | None:
    """Return the oldest rollout that has not ended, or whose end was not reported."""
    found: list[tuple[datetime, Work]] = []
    for item in list_versions(client):
        version = str(item.version)
        record = RolloutRecord.from_tags(item.tags, version)
        if record is not None and (record.is_open or record not in (parse_events(item.tags, version) or [])):
            found.append((record.when, Work(version, record.champion, record.gates, record)))
    return min(found, key=lambda item: item[0])[1] if found else None


def describe_pending_approval(
    client: MlflowClient, work: Work, asks: bool, asked: str | None, again: bool, now: datetime
) -> str:
    """Why only a person can let it begin: one is being asked by another run; empty where it may, or this run is to ask.

    The rule of the promotion, before the first step: what the promotion would refuse is not tried out on anybody. A run
    that ``asks`` does so anew on other evidence, and ``again`` where an earlier request on the same was refused, but
    only once: where it has ``asked`` already, it goes on with that version on that evidence, or leaves the asking to
    the next run.

    Raises:
        ApprovalRefusedError: A person refused, or did not answer in time, and this run does not ask again.
    """
    if asks:
        record = ApprovalRecord.load(client, work.version)
        if record is None or record.gates != work.gates:
            return _asked_about_another(work.version, asked) if asked else ""
    standing = pending_approval(client, work.version, now)
    if standing is None:
        return ""
    if standing.status == "waiting":
        return describe_rejection(work.version, standing)
    if asked or not asks or not again:
        raise ApprovalRefusedError(describe_rejection(work.version, standing))
    return ""


def _asked_about_another(version: str, asked: str) -> str:
    if asked != version:
        return (
            f"Version {asked}, which was asked about, was superseded by {_named(version)}: the next run asks about it."
        )
    return f"{_named(version).capitalize()} was judged again since it was asked about: the next run asks again."


def interruption_reason(client: MlflowClient, version: str, record: RolloutRecord) -> str:
    """Why a rollout cannot go on as things stand, whoever changed them; empty where it can."""
    champion = get_champion_version(client)
    if record.step == "watch":
        return "" if champion == version else f"the {CHAMPION} was moved to {_named(champion)} meanwhile"
    if champion == version:
        return f"it was made the {CHAMPION} by somebody else"
    if champion != record.champion:
        return f"the {CHAMPION} is {_named(champion)} now, and it was held against {_named(record.champion)}"
    challenger = get_challenger_version(client)
    if challenger is None:
        return f"it is no {CHALLENGER} any more"
    return "" if challenger == version else f"superseded by {_named(challenger)}"


def _named(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"
