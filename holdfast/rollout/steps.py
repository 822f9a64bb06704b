"""The steps of a rollout and their order."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from holdfast.model_versions.records import RolloutRecord
from holdfast.models.registered_version import Traffic
from holdfast.rollout.settings import RolloutSettings

StepName = Literal["shadow", "canary", "watch"]


@dataclass(frozen=True)
class RolloutStep:
    """What the version gets: everything unseen, the requests of a share, or, in ``watch``, all: it is the champion."""

    name: StepName
    share: float = 0.0

    @property
    def label(self) -> str:
        """In words."""
        return f"canary of {self.share:.1%}" if self.name == "canary" else self.name

    @property
    def route(self) -> Literal["shadow", "canary", "champion"]:
        """Where the prediction log has what it says."""
        return "champion" if self.name == "watch" else self.name

    def traffic(self, until: datetime) -> Traffic:
        """What its tag says, for as long as somebody watches."""
        assert self.name != "watch"
        return Traffic(mode=self.name, share=self.share, until=until)


WATCH = RolloutStep("watch", 1.0)


def list_steps(rules: RolloutSettings) -> list[RolloutStep]:
    """All of them; before the last one the version is promoted."""
    return [
        *([RolloutStep("shadow")] if rules.shadow else []),
        *(RolloutStep("canary", share) for share in rules.shares),
        WATCH,
    ]


def step_of(record: RolloutRecord) -> RolloutStep | None:
    """The step that a record is about; None for an approval, which is none."""
    return None if record.step == "approval" else RolloutStep(record.step, record.share)


def next_step(record: RolloutRecord | None, rules: RolloutSettings) -> RolloutStep:
    """The step to be at: the first, the one that has begun, or the one after it."""
    order = list_steps(rules)
    step = step_of(record) if record else None
    if record is None or step is None or step not in order:
        return order[0]
    return step if record.verdict == "begun" else order[order.index(step) + 1]


def settings_of(record: RolloutRecord) -> RolloutSettings:
    """The settings that the rollout of a record was begun with."""
    return RolloutSettings.model_validate(record.rules)


def lease_end(rules: RolloutSettings, now: datetime) -> datetime:
    """Until when what is sent now holds."""
    return now + timedelta(seconds=rules.lease_seconds)


def needs_renewal(until: datetime, rules: RolloutSettings, now: datetime) -> bool:
    """Whether a lease is to be renewed: not at every look, each of which would be a write to the registry."""
    return until - now < timedelta(seconds=rules.lease_seconds / 2)
