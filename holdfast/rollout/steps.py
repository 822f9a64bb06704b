"""Steps of a rollout, their order and their lease."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from holdfast.model_versions.records import RolloutRecord
from holdfast.models.registered_version import Traffic
from holdfast.rollout.settings import RolloutSettings

StepName = Literal["shadow", "canary", "watch"]


@dataclass(frozen=True)
class RolloutStep:
    """Step of a rollout: shadow traffic, a share of the customers, or ``watch``, as champion with all traffic."""

    name: StepName
    share: float = 0.0

    @property
    def label(self) -> str:
        """Return the step as text."""
        return f"canary of {self.share:.1%}" if self.name == "canary" else self.name

    @property
    def route(self) -> Literal["shadow", "canary", "champion"]:
        """Return the route of the version's predictions in the log."""
        return "champion" if self.name == "watch" else self.name

    def traffic(self, until: datetime) -> Traffic:
        """Build the traffic of the step.

        Args:
            until: End of the lease, UTC.

        Returns:
            Value of the traffic tag.
        """
        assert self.name != "watch"
        return Traffic(mode=self.name, share=self.share, until=until)


WATCH = RolloutStep("watch", 1.0)


def list_steps(rules: RolloutSettings) -> list[RolloutStep]:
    """List the steps in order; the promotion comes before the last one.

    Args:
        rules: Settings of the rollout.

    Returns:
        The steps.
    """
    return [
        *([RolloutStep("shadow")] if rules.shadow else []),
        *(RolloutStep("canary", share) for share in rules.shares),
        WATCH,
    ]


def step_of(record: RolloutRecord) -> RolloutStep | None:
    """Return the step of a record.

    Args:
        record: Record of a rollout.

    Returns:
        The step; None for an approval.
    """
    return None if record.step == "approval" else RolloutStep(record.step, record.share)


def next_step(record: RolloutRecord | None, rules: RolloutSettings) -> RolloutStep:
    """Return the current step of a rollout.

    Args:
        record: Latest record, None before the first step.
        rules: Settings of the rollout.

    Returns:
        The first step, the step that has begun, or the step after a passed one.
    """
    order = list_steps(rules)
    step = step_of(record) if record else None
    if record is None or step is None or step not in order:
        return order[0]
    return step if record.verdict == "begun" else order[order.index(step) + 1]


def settings_of(record: RolloutRecord) -> RolloutSettings:
    """Read the settings with which a rollout began.

    Args:
        record: Record of the rollout.

    Returns:
        The settings.
    """
    return RolloutSettings.model_validate(record.rules)


def lease_end(rules: RolloutSettings, now: datetime) -> datetime:
    """Compute the end of a lease that starts now.

    Args:
        rules: Settings of the rollout.
        now: Current time, UTC.

    Returns:
        End of the lease, UTC.
    """
    return now + timedelta(seconds=rules.lease_seconds)


def needs_renewal(until: datetime, rules: RolloutSettings, now: datetime) -> bool:
    """Check that half of the lease has passed; a renewal at every poll would be a write to the registry each time.

    Args:
        until: End of the lease, UTC.
        rules: Settings of the rollout.
        now: Current time, UTC.

    Returns:
        True if the lease should be renewed.
    """
    return until - now < timedelta(seconds=rules.lease_seconds / 2)
