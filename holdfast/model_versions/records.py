"""Records of gates, approvals, rollouts, promotions, rollbacks and retrainings on model versions.

The latest record of each kind is JSON in one tag; all records, oldest first, are a JSON list in ``EVENTS_TAG``.
"""

from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError

from holdfast.core.formatting import format_count
from holdfast.core.identity import Proof, describe_person
from holdfast.model_versions.version_tags import EVENTS_TAG, TaggedRecord, events_error, read_events
from holdfast.models.registered_version import TRAFFIC_TAG


class GatesRecord(TaggedRecord):
    """The verdict of the gates.

    Attributes:
        champion: The version compared with.
        settings: SHA-256 of the thresholds.
        failed: Names of the failed gates.
        key: Key of the evidence.
        thresholds: Thresholds that differ from the defaults.
        warnings: Findings that fail no gate.
    """

    TAG = "holdfast.gates"

    verdict: Literal["passed", "failed"]
    champion: str | None
    settings: str
    when: datetime
    failed: list[str]
    key: str
    thresholds: dict[str, Any] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)


class PersonalRecord(TaggedRecord):
    """A record of what a person or a program did.

    Attributes:
        who: Name of the person or program.
        proof: Evidence for the name; older records have typed names.
    """

    who: str
    proof: Proof = "claimed"

    @property
    def by(self) -> str:
        """Return the person or program as part of a sentence, such as "claimed by Ann"."""
        return describe_person(self.who, self.proof)


class ApprovalRecord(PersonalRecord):
    """A request for a person's approval of a promotion, and the answer.

    Attributes:
        since: Time of the request.
        until: End of the time to answer.
        flow_run: The suspended flow run.
        gates: Key of the evidence.
        who: Person who answered; empty before.
        when: Time of the answer.
        why: Reason of the answer.
        signature: Signature of the approver over the request; empty without one.
    """

    TAG = "holdfast.approval"

    status: Literal["waiting", "approved", "refused", "timed out"]
    since: datetime
    until: datetime
    flow_run: str
    gates: str
    who: str = ""
    when: datetime | None = None
    why: str = ""
    signature: str = ""

    def evaluate_at(self, now: datetime) -> "ApprovalRecord":
        """Apply the timeout: no answer in time is a refusal.

        Args:
            now: Time of the evaluation.

        Returns:
            The record, with status "timed out" if it still waits after ``until``.
        """
        if self.status != "waiting" or now <= self.until:
            return self
        return self.model_copy(update={"status": "timed out", "when": self.until, "why": "no answer in time"})


class PromotionRecord(PersonalRecord):
    """A promotion to champion.

    Attributes:
        previous: The champion before.
        who: "auto", or the person who approved.
        gates: Key of the evidence.
        thresholds: Thresholds of the gates that differ from the defaults.
    """

    TAG = "holdfast.promotion"

    previous: str | None
    when: datetime
    why: str
    mode: Literal["auto", "manual"]
    gates: str
    thresholds: dict[str, Any] = Field(default_factory=dict)

    @property
    def approval(self) -> str:
        """Return the approval, such as "Approved automatically" or "Approved, claimed by Ann"."""
        return "Approved automatically" if self.mode == "auto" else f"Approved, {self.by}"


class RollbackRecord(PersonalRecord):
    """A rollback of a champion.

    Attributes:
        to: The version that became champion.
        times: Number of rollbacks of the version so far, this one included.
        flow_run: The flow run, or step of a rollout, that rolled back.
    """

    TAG = "holdfast.rollback"

    to: str
    when: datetime
    why: str
    times: int = 1
    flow_run: str = ""


class TrafficRecord(PersonalRecord):
    """The traffic of a challenger; services read the tag as ``Traffic``.

    Attributes:
        share: Share of the customers, 0 to 1.
        until: End of the lease of a rollout, which renews the lease while it monitors (the tag only, without an event);
            None without an end.
    """

    TAG = TRAFFIC_TAG

    mode: Literal["shadow", "canary", "off"]
    share: float
    when: datetime
    until: datetime | None = None

    @property
    def summary(self) -> str:
        """Return a description in plain text."""
        if self.mode == "canary":
            return f"canary for {self.share:.1%} of the customers"
        return "shadow traffic" if self.mode == "shadow" else "traffic off"


class RolloutRecord(TaggedRecord):
    """The start or the end of a rollout step; see ``holdfast.rollout``.

    Attributes:
        share: Share of the customers, 0 to 1.
        started_at: Start of the step; an interrupted rollout resumes with it.
        when: Time of the record.
        champion: The version compared with.
        gates: Key of the evidence.
        requests: Requests about active customers that the version scored, by the prediction log.
        customers: Number of different active customers among them.
        inactive_customers: Number of inactive customers scored besides, on which the version is not evaluated.
        guardrail_values: Guardrail to its last value.
        rules: Settings that differ from the defaults; an interrupted rollout resumes with them.
        start_counters: Counters of the service at the start of the step.
        restart_counters: Counts of the step before the latest restart of the service; empty without a restart.
        is_held: True if the rollout stopped without a verdict, False if a person stopped it.
    """

    TAG = "holdfast.rollout"

    step: Literal["approval", "shadow", "canary", "watch"]
    share: float
    started_at: datetime = Field(alias="begun")
    when: datetime
    verdict: Literal["begun", "passed", "breached", "stopped"]
    champion: str | None
    gates: str
    requests: int = 0
    customers: int = 0
    inactive_customers: int = Field(default=0, alias="others")
    guardrail_values: dict[str, float] = Field(default_factory=dict, alias="figures")
    why: str = ""
    flow_run: str = ""
    rules: dict[str, Any] = Field(default_factory=dict)
    start_counters: dict[str, float] = Field(default_factory=dict, alias="base")
    restart_counters: dict[str, float] = Field(default_factory=dict, alias="carried")
    is_held: bool = False

    @property
    def is_open(self) -> bool:
        """Return True if the rollout continues after this record."""
        return self.verdict == "begun" or (self.verdict == "passed" and self.step != "watch")

    @property
    def name(self) -> str:
        """Return the name of the step with the share."""
        return f"canary of {self.share:.1%}" if self.step == "canary" else self.step

    @property
    def summary(self) -> str:
        """Return the step, the verdict and its reason in plain text."""
        after = ""
        if self.verdict != "begun" and self.requests:
            # Older records lack the number of customers.
            of = f" about {format_count(self.customers, 'active customer')}" if self.customers else ""
            inactive = f" (and {self.inactive_customers} inactive, not evaluated)" if self.inactive_customers else ""
            after = f" after {self.requests} requests{of}{inactive}"
        return f"rollout, {self.name}: {self.verdict}{after}{f': {self.why}' if self.why else ''}"


class RetrainingRecord(TaggedRecord):
    """The reason of an automatic training.

    Attributes:
        as_of: End of the training data.
        prompted: The event that started the retraining, and its subject.
    """

    TAG = "holdfast.retraining"

    as_of: datetime
    why: str
    prompted: str
    when: datetime

    @property
    def summary(self) -> str:
        """Return a description in plain text."""
        return f"retrained as of {self.as_of:%Y-%m-%d}: {self.why}"


VersionEvent = (
    GatesRecord | ApprovalRecord | PromotionRecord | RollbackRecord | TrafficRecord | RolloutRecord | RetrainingRecord
)


def parse_events(tags: dict[str, str], version: str) -> list[VersionEvent] | None:
    """Parse the event list of a version.

    Args:
        tags: Tags of the version.
        version: Version number, for the error message.

    Returns:
        The records, oldest first; None for a version older than the event list.

    Raises:
        BadRecordError: The tag has other content.
    """
    if EVENTS_TAG not in tags:
        return None
    kinds: dict[str, type[VersionEvent]] = {kind.TAG: kind for kind in get_args(VersionEvent)}
    try:
        return [kinds[item["kind"]].model_validate(item["record"]) for item in read_events(tags, version)]
    except (KeyError, TypeError, ValidationError) as error:
        raise events_error(version) from error
