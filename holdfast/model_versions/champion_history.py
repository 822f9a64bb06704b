"""Who was champion when, from what promotions and rollbacks left on all versions."""

from dataclasses import dataclass
from datetime import datetime

from mlflow import MlflowClient

from feature_repo.timestamps import as_utc
from holdfast.model_versions.aliases import get_champion_version, get_version, list_versions
from holdfast.model_versions.records import GatesRecord, PromotionRecord, RollbackRecord, RolloutRecord, parse_events


@dataclass(frozen=True)
class ChampionHistory:
    """Version to its promotions that moved the alias and to its rollbacks, in the order in which they happened.

    ``former_champions`` are versions that a record names as the champion before: they were it, whatever else is known.
    """

    champion: str | None
    promotions: dict[str, list[PromotionRecord]]
    rollbacks: dict[str, list[RollbackRecord]]
    former_champions: set[str]

    def was_champion(self, version: str) -> bool:
        """Whether the alias has ever been on ``version``."""
        known = self.promotions.get(version) or self.rollbacks.get(version)
        return version == self.champion or version in self.former_champions or bool(known)

    def previous(self, version: str) -> str | None:
        """Whom ``version`` former_champions when it was last promoted."""
        promotions = self.promotions.get(version)
        return promotions[-1].previous if promotions else None

    def started_at(self, version: str) -> datetime | None:
        """When ``version`` last became champion, by promotion or because another was rolled back to it."""
        promoted = [record.when for record in self.promotions.get(version, [])]
        return max(promoted + [record.when for _, record in self.list_returns_to(version)], default=None)

    def list_returns_to(self, version: str) -> list[tuple[str, RollbackRecord]]:
        """The rollbacks that made ``version`` the champion again, each with the version that went."""
        return [(name, record) for name, found in self.rollbacks.items() for record in found if record.to == version]

    def is_rolled_back(self, version: str) -> bool:
        """Whether ``version`` was rolled back since it last became champion."""
        since, rollbacks = self.started_at(version), self.rollbacks.get(version, [])
        return any(since is None or record.when > since for record in rollbacks)


def read_champion_history(client: MlflowClient) -> ChampionHistory:
    """As the registry tells it now.

    A promotion is written before the alias moves and told after. One that is not told moved the alias if its version
    is the champion, or was former_champions or rolled back later; versions without events are taken at their word.
    """
    champion, versions = get_champion_version(client), {str(item.version): item.tags for item in list_versions(client)}
    promotions: dict[str, list[PromotionRecord]] = {}
    rollbacks: dict[str, list[RollbackRecord]] = {}
    written: dict[str, PromotionRecord] = {}
    for version, tags in versions.items():
        events = parse_events(tags, version)
        promotions[version] = [event for event in events or [] if isinstance(event, PromotionRecord)]
        rollbacks[version] = [event for event in events or [] if isinstance(event, RollbackRecord)]
        rollback, promotion = RollbackRecord.from_tags(tags, version), PromotionRecord.from_tags(tags, version)
        if rollback and rollback not in rollbacks[version] and (events is None or version != champion):
            rollbacks[version].append(rollback)
        if promotion and promotion not in promotions[version]:
            if events is None:
                promotions[version].append(promotion)
            else:
                written[version] = promotion
    named = [(item.previous, item.when) for found in promotions.values() for item in found]
    named += [(item.previous, item.when) for item in written.values()]
    named += [(version, item.when) for version, found in rollbacks.items() for item in found]
    for version, promotion in written.items():
        if version == champion or any(name == version and when >= promotion.when for name, when in named):
            promotions[version].append(promotion)
            promotions[version].sort(key=lambda item: item.when)
    return ChampionHistory(champion, promotions, rollbacks, {name for name, _ in named if name})


@dataclass(frozen=True)
class RolloutBreach:
    """How such a rollout ended. ``is_in_force``: the version has not passed its gates since."""

    record: RolloutRecord
    is_in_force: bool


def find_last_breach(client: MlflowClient, version: str) -> RolloutBreach | None:
    """The latest of ``version``; None where there was none. One as champion leaves a rollback, which is another thing.

    Of all events, as the next rollout takes the place of the last one's record.
    """
    tags = get_version(client, version).tags
    known = [*(parse_events(tags, version) or []), RolloutRecord.from_tags(tags, version)]
    breached = [item for item in known if isinstance(item, RolloutRecord) and item.verdict == "breached"]
    latest = max((item for item in breached if item.step != "watch"), key=lambda item: item.when, default=None)
    if latest is None:
        return None
    gates = GatesRecord.from_tags(tags, version)
    return RolloutBreach(latest, gates is None or gates.verdict == "failed" or gates.when <= latest.when)


def read_training_times(client: MlflowClient) -> dict[str, datetime]:
    """Version to the moment that it was trained as of; versions that training did not register have none."""
    tags = {str(item.version): item.tags for item in list_versions(client)}
    return {
        version: as_utc(datetime.fromisoformat(found["holdfast.as_of"]))
        for version, found in tags.items()
        if "holdfast.as_of" in found
    }
