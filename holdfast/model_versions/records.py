"""What gates, approvals, rollouts, promotions and rollbacks leave on a model version.

The latest of each kind is JSON in a tag of its own; all of them, in the order in which they were saved, are a JSON list
in ``EVENTS_TAG``.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, ValidationError

from holdfast.model_versions.version_tags import EVENTS_TAG, BadRecordError, TaggedRecord, events_error, read_events
from holdfast.models.registered_version import TRAFFIC_TAG

__all__ = [
    "EVENTS_TAG",
    "ApprovalRecord",
    "BadRecordError",
    "GatesRecord",
    "PromotionRecord",
    "RollbackRecord",
    "RolloutRecord",
    "TaggedRecord",
    "TrafficRecord",
    "parse_events",
]


class GatesRecord(TaggedRecord):
    """The verdict over a version. ``champion``: whom it was compared with; ``key``: names the evidence."""

    TAG = "holdfast.gates"

    verdict: Literal["passed", "failed"]
    champion: str | None
    settings: str
    when: datetime
    failed: list[str]
    key: str
    thresholds: dict[str, Any] = Field(default_factory=dict)
    """Those other than the defaults, by name."""


class ApprovalRecord(TaggedRecord):
    """A person is asked, or has answered, whether a version becomes the champion."""

    TAG = "holdfast.approval"

    status: Literal["waiting", "approved", "refused", "timed out"]
    since: datetime
    until: datetime
    flow_run: str
    gates: str
    who: str = ""
    when: datetime | None = None
    why: str = ""

    def evaluate_at(self, now: datetime) -> "ApprovalRecord":
        """The record as it stands at ``now``: who does not answer in time has refused."""
        if self.status != "waiting" or now <= self.until:
            return self
        return self.model_copy(update={"status": "timed out", "when": self.until, "why": "nobody answered in time"})


class PromotionRecord(TaggedRecord):
    """Why a version became the champion, after whom. ``gates``: the key of its evidence."""

    TAG = "holdfast.promotion"

    previous: str | None
    when: datetime
    who: str
    why: str
    mode: Literal["auto", "manual"]
    gates: str
    thresholds: dict[str, Any] = Field(default_factory=dict)
    """Those of its gates other than the defaults, by name."""


class RollbackRecord(TaggedRecord):
    """Why a version is no longer the champion. ``times``: how often that has happened to it; ``flow_run``: by whom."""

    TAG = "holdfast.rollback"

    to: str
    when: datetime
    who: str
    why: str
    times: int = 1
    flow_run: str = ""


class TrafficRecord(TaggedRecord):
    """What a challenger gets to score beside the champion; services read the tag as ``Traffic``.

    ``until``: a rollout gives it for a time only, and writes the tag anew while it watches; that is no event.
    """

    TAG = TRAFFIC_TAG

    mode: Literal["shadow", "canary", "off"]
    share: float
    when: datetime
    who: str
    until: datetime | None = None

    @property
    def summary(self) -> str:
        """In words."""
        given = {"shadow": "tried out in shadow", "off": "tried out no more"}
        return given.get(self.mode) or f"tried out on {self.share:.1%} of the customers"


class RolloutRecord(TaggedRecord):
    """A step of a rollout has begun, or how it ended; see ``holdfast.rollout``.

    ``begun`` is when the step began: a rollout that was killed goes on with it. ``champion`` is whom the version is
    held against, ``figures`` what was judged, and ``gates`` the key of its evidence. By the prediction log of the step,
    ``requests`` is how many about active customers it answered, ``customers`` how many different ones those were, and
    ``others`` how many inactive customers it scored besides, on whom it is not judged. What a rollout that goes on
    needs is in ``rules``, the settings other than the defaults, in ``base``, the service's counters when the step
    began, and in ``carried``: where the service was started again since, what it had counted in the step until then.
    """

    TAG = "holdfast.rollout"

    step: Literal["approval", "shadow", "canary", "watch"]
    share: float
    begun: datetime
    when: datetime
    verdict: Literal["begun", "passed", "breached", "stopped"]
    champion: str | None
    gates: str
    requests: int = 0
    customers: int = 0
    others: int = 0
    figures: dict[str, float] = Field(default_factory=dict)
    why: str = ""
    flow_run: str = ""
    rules: dict[str, Any] = Field(default_factory=dict)
    base: dict[str, float] = Field(default_factory=dict)
    carried: dict[str, float] = Field(default_factory=dict)
    is_held: bool = False
    """Stopped because nobody could tell, not because somebody wanted it."""

    @property
    def is_open(self) -> bool:
        """Whether the rollout goes on from here."""
        return self.verdict == "begun" or (self.verdict == "passed" and self.step != "watch")

    @property
    def name(self) -> str:
        """The step in words."""
        return f"canary of {self.share:.1%}" if self.step == "canary" else self.step

    @property
    def summary(self) -> str:
        """In words."""
        after = ""
        if self.verdict != "begun" and self.requests:
            of = f" about {self.customers} active customers" if self.customers else ""  # older records lack it
            others = f" (and {self.others} others, not judged)" if self.others else ""
            after = f" after {self.requests} requests{of}{others}"
        return f"rollout, {self.name}: {self.verdict}{after}{f': {self.why}' if self.why else ''}"


class RetrainingRecord(TaggedRecord):
    """Why a version was trained without anybody asking for it. ``prompted``: the event and what it was about."""

    TAG = "holdfast.retraining"

    as_of: datetime
    why: str
    prompted: str
    when: datetime

    @property
    def summary(self) -> str:
        """In words."""
        return f"trained again as of {self.as_of:%Y-%m-%d}: {self.why}"


def parse_events(tags: dict[str, str], version: str) -> list[TaggedRecord] | None:
    """All that is told of a version, in the order in which it was saved; None for one from before events were kept.

    Raises:
        BadRecordError: The tag holds something else.
    """
    if EVENTS_TAG not in tags:
        return None
    kinds: dict[str, type[TaggedRecord]] = {
        kind.TAG: kind
        for kind in (
            GatesRecord,
            ApprovalRecord,
            PromotionRecord,
            RollbackRecord,
            TrafficRecord,
            RolloutRecord,
            RetrainingRecord,
        )
    }
    try:
        return [kinds[item["kind"]].model_validate(item["record"]) for item in read_events(tags, version)]
    except (KeyError, TypeError, ValidationError) as error:
        raise events_error(version) from error
