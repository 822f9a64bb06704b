"""History of the champion alias, from the promotion and rollback records of all versions."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.model_versions.aliases import get_champion_version, get_version, list_versions
from holdfast.model_versions.records import GatesRecord, PromotionRecord, RollbackRecord, RolloutRecord, parse_events
from holdfast.models.registered_version import RegisteredVersion
from holdfast.training.mlflow_client import ModelClient


@dataclass(frozen=True)
class ChampionHistory:
    """Promotions and rollbacks of all versions.

    Attributes:
        champion: The champion now; None without one.
        promotions: Version to its promotions that moved the alias, oldest first.
        rollbacks: Version to its rollbacks, oldest first.
        former_champions: Versions that a record names as the previous champion, even without a promotion record.
    """

    champion: str | None
    promotions: dict[str, list[PromotionRecord]]
    rollbacks: dict[str, list[RollbackRecord]]
    former_champions: set[str]

    def was_champion(self, version: str) -> bool:
        """Check if a version is or was the champion.

        Args:
            version: Version number.

        Returns:
            True if the alias was ever on the version.
        """
        known = self.promotions.get(version) or self.rollbacks.get(version)
        return version == self.champion or version in self.former_champions or bool(known)

    def previous(self, version: str) -> str | None:
        """Get the champion before the latest promotion of a version.

        Args:
            version: Version number.

        Returns:
            The previous champion; None without one, or without a promotion.
        """
        promotions = self.promotions.get(version)
        return promotions[-1].previous if promotions else None

    def started_at(self, version: str) -> datetime | None:
        """Get the time at which a version last became champion, by a promotion or by a rollback to it.

        Args:
            version: Version number.

        Returns:
            The time (UTC), or None.
        """
        promoted = [record.when for record in self.promotions.get(version, [])]
        return max(promoted + [record.when for _, record in self.list_returns_to(version)], default=None)

    def list_returns_to(self, version: str) -> list[tuple[str, RollbackRecord]]:
        """List the rollbacks that made a version the champion again.

        Args:
            version: Version number.

        Returns:
            Pairs of the rolled-back version and its record.
        """
        return [(name, record) for name, found in self.rollbacks.items() for record in found if record.to == version]

    def rollback_target(self) -> str | None:
        """Find the previous champion, skipping versions that were rolled back since they last became champion.

        Returns:
            Version number; None without one.
        """
        visited, version = {self.champion}, self.champion
        while version and (version := self.previous(version)) and version not in visited:
            visited.add(version)
            if not self.is_rolled_back(version):
                return version
        return None

    def is_rolled_back(self, version: str) -> bool:
        """Check if a version was rolled back since it last became champion.

        Args:
            version: Version number.

        Returns:
            True if there is a later rollback.
        """
        since, rollbacks = self.started_at(version), self.rollbacks.get(version, [])
        return any(since is None or record.when > since for record in rollbacks)


def read_champion_history(client: ModelClient) -> ChampionHistory:
    """Read the history of the champion from the registry.

    A promotion writes its tag before the alias moves, and its event after. A promotion without an event (its run was
    killed) moved the alias if the version is the champion, or if a later record names the version as a previous
    champion or as rolled back. For versions without any events the tag alone counts.

    Args:
        client: MLflow's client.

    Returns:
        The history at this time.
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
    """A rollout that ended by a breached guardrail.

    Attributes:
        record: The record of the breached step.
        is_in_force: True if the version has not passed its gates since.
    """

    record: RolloutRecord
    is_in_force: bool


def find_last_breach(client: ModelClient, version: str) -> RolloutBreach | None:
    """Find the latest breached rollout step of a version before its promotion.

    All events are searched, as the next rollout replaces the tag. A breach in the step ``watch`` is not included: it is
    recorded as a rollback.

    Args:
        client: MLflow's client.
        version: Version number.

    Returns:
        The breach, or None.
    """
    tags = get_version(client, version).tags
    records = [*(parse_events(tags, version) or []), RolloutRecord.from_tags(tags, version)]
    breached = [item for item in records if isinstance(item, RolloutRecord) and item.verdict == "breached"]
    latest = max((item for item in breached if item.step != "watch"), key=lambda item: item.when, default=None)
    if latest is None:
        return None
    gates = GatesRecord.from_tags(tags, version)
    return RolloutBreach(latest, gates is None or gates.verdict == "failed" or gates.when <= latest.when)


def read_training_times(client: ModelClient) -> dict[str, datetime]:
    """Read the ``as_of`` times of all trainings.

    Args:
        client: MLflow's client.

    Returns:
        Version to the time of its training data; versions that training did not register are missing.
    """
    versions = [RegisteredVersion(str(item.version), item.tags) for item in list_versions(client)]
    return {version.number: as_of for version in versions if (as_of := version.trained_as_of())}
