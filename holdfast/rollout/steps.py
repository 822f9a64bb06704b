"""Steps of a rollout and their order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from holdfast.core.model_names import CHURN
from holdfast.model_versions.records import RolloutRecord
from holdfast.models.registered_version import Traffic
from holdfast.rollout.settings import RolloutSettings

_StepName = Literal["shadow", "canary", "watch"]


@dataclass(frozen=True)
class RolloutStep:
    """A step: shadow traffic, a canary of a share, or ``watch`` with all traffic as the champion.

    Attributes:
        share: Share of the customers, 0 to 1.
    """

    name: _StepName
    share: float = 0.0

    @property
    def label(self) -> str:
        """Return the name with the share."""
        return f"canary of {self.share:.1%}" if self.name == "canary" else self.name

    @property
    def route(self) -> Literal["shadow", "canary", "champion"]:
        """Return the route of the predictions in the log."""
        return "champion" if self.name == "watch" else self.name

    def traffic(self, until: datetime) -> Traffic:
        """Create the traffic of a step before the promotion.

        Args:
            until: End of the lease.

        Returns:
            The traffic for the tag of the version.
        """
        assert self.name != "watch"
        return Traffic(mode=self.name, share=self.share, until=until)


WATCH = RolloutStep("watch", 1.0)


def list_steps(rules: RolloutSettings) -> list[RolloutStep]:
    """List the steps in their order; the promotion is before the last step.

    Args:
        rules: Settings of the rollout.

    Returns:
        The steps.
    """
    canaries = (RolloutStep("canary", share) for share in rules.shares)
    return [*([RolloutStep("shadow")] if rules.shadow else []), *canaries, WATCH]


def step_of(record: RolloutRecord) -> RolloutStep | None:
    """Get the step of a record.

    Args:
        record: Record of a rollout.

    Returns:
        The step; None for an approval.
    """
    return None if record.step == "approval" else RolloutStep(record.step, record.share)


def next_step(record: RolloutRecord | None, rules: RolloutSettings) -> RolloutStep:
    """Get the step to run.

    Args:
        record: Latest record of the rollout; None before the first.
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
    """Get the settings with which a rollout began.

    Args:
        record: Record of the rollout.

    Returns:
        The settings.
    """
    return RolloutSettings.model_validate(record.rules)


def stop_record(record: RolloutRecord, reason: str, now: datetime, is_held: bool) -> RolloutRecord:
    """Create the record that stops a rollout.

    Args:
        record: Record of the current step.
        reason: Why the rollout stops.
        now: Time of the end.
        is_held: True if the rollout has no verdict, False if a person stopped it.

    Returns:
        The changed record.
    """
    changed = {"verdict": "stopped", "when": now, "why": reason, "is_held": is_held, "start_counters": {}}
    return record.model_copy(update=changed)


def describe_version(model: str, version: str) -> str:
    """Name a version in messages of its rollout.

    Args:
        model: Name of the model.
        version: Version number.

    Returns:
        ``version 3`` of churn, ``spend version 3`` of the model spend.
    """
    return f"version {version}" if model == CHURN else f"{model} version {version}"
