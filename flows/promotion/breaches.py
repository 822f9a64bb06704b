"""Rollouts that production ended: the version was worse than the champion before it was champion itself."""

from dataclasses import dataclass

from mlflow import MlflowClient

from holdfast.model_versions.aliases import get_version
from holdfast.model_versions.records import GatesRecord, RolloutRecord, events_in


@dataclass(frozen=True)
class Breach:
    """How such a rollout ended. ``stands``: the version has not passed its gates since."""

    record: RolloutRecord
    stands: bool


def last_breach(client: MlflowClient, version: str) -> Breach | None:
    """The latest of ``version``; None where there was none. One as champion leaves a rollback, which is another thing.

    Of all events, as the next rollout takes the place of the last one's record.
    """
    tags = get_version(client, version).tags
    known = [*(events_in(tags, version) or []), RolloutRecord.in_tags(tags, version)]
    breached = [item for item in known if isinstance(item, RolloutRecord) and item.verdict == "breached"]
    latest = max((item for item in breached if item.step != "watch"), key=lambda item: item.when, default=None)
    if latest is None:
        return None
    gates = GatesRecord.in_tags(tags, version)
    return Breach(latest, gates is None or gates.verdict == "failed" or gates.when <= latest.when)
