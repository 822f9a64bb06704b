"""What gates, approvals, promotions and rollbacks leave on a model version.

The latest of each kind is JSON in a tag of its own; all of them, in the order in which they were saved, are a JSON list
in ``EVENTS_TAG``.
"""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.errors import HoldfastError
from feature_repo.model_contract import MODEL_NAME
from feature_repo.registered_version import TRAFFIC_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

EVENTS_TAG = "holdfast.events"
_EVENTS_KEPT = 100
_TAG_CHARACTERS = 100_000  # MLflow's limit


class BadRecordError(HoldfastError):
    """A tag of a model version is not what Holdfast wrote."""


class Record(BaseModel):
    """A record in the tag ``TAG`` of a model version."""

    model_config = ConfigDict(frozen=True)
    TAG: ClassVar[str]

    @classmethod
    def of(cls, client: "MlflowClient", version: str) -> Self | None:
        """The record of a version, None when it has none.

        Raises:
            BadRecordError: The tag holds something else.
        """
        return cls.in_tags(client.get_model_version(MODEL_NAME, version).tags, version)

    @classmethod
    def in_tags(cls, tags: dict[str, str], version: str) -> Self | None:
        """The same, from the tags of a version."""
        if cls.TAG not in tags:
            return None
        try:
            return cls.model_validate_json(tags[cls.TAG])
        except ValidationError as error:
            raise BadRecordError(
                f"The tag {cls.TAG} of {MODEL_NAME} version {version} is no {cls.__name__}: "
                f"{error.errors()[0]['msg']}. Remove the tag, or give it back what Holdfast wrote."
            ) from error

    def save(self, client: "MlflowClient", version: str) -> None:
        """Write it as the latest of its kind, and append it to the events."""
        self.write(client, version)
        self.tell(client, version)

    def write(self, client: "MlflowClient", version: str) -> None:
        """Write it as the latest of its kind. It has not happened until it is told."""
        client.set_model_version_tag(MODEL_NAME, version, self.TAG, self.model_dump_json())

    def tell(self, client: "MlflowClient", version: str) -> None:
        """Append it to the events, of which the newest 100 are kept; what is told already is not told twice."""
        events = _events_in(client.get_model_version(MODEL_NAME, version).tags, version)
        event = {"kind": self.TAG, "record": self.model_dump(mode="json")}
        if event in events:
            return
        events = [*events, event][-_EVENTS_KEPT:]
        while len(text := json.dumps(events)) > _TAG_CHARACTERS and len(events) > 1:
            events = events[1:]
        client.set_model_version_tag(MODEL_NAME, version, EVENTS_TAG, text)


class GatesRecord(Record):
    """The verdict over a version. ``champion``: whom it was compared with; ``key``: names the evidence."""

    TAG = "holdfast.gates"

    verdict: Literal["passed", "failed"]
    champion: str | None
    settings: str
    when: datetime
    failed: list[str]
    key: str
    thresholds: dict[str, Any] = {}
    """Those other than the defaults, by name."""


class ApprovalRecord(Record):
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

    def standing(self, now: datetime) -> "ApprovalRecord":
        """The record as it stands at ``now``: who does not answer in time has refused."""
        if self.status != "waiting" or now <= self.until:
            return self
        return self.model_copy(update={"status": "timed out", "when": self.until, "why": "nobody answered in time"})


class PromotionRecord(Record):
    """Why a version became the champion, after whom. ``gates``: the key of its evidence."""

    TAG = "holdfast.promotion"

    previous: str | None
    when: datetime
    who: str
    why: str
    mode: Literal["auto", "manual"]
    gates: str
    thresholds: dict[str, Any] = {}
    """Those of its gates other than the defaults, by name."""


class RollbackRecord(Record):
    """Why a version is no longer the champion. ``times``: how often that has happened to it; ``flow_run``: by whom."""

    TAG = "holdfast.rollback"

    to: str
    when: datetime
    who: str
    why: str
    times: int = 1
    flow_run: str = ""


class TrafficRecord(Record):
    """What a challenger gets to score beside the champion; services read the tag as ``Traffic``."""

    TAG = TRAFFIC_TAG

    mode: Literal["shadow", "canary", "off"]
    share: float
    when: datetime
    who: str

    @property
    def told(self) -> str:
        """In words."""
        given = {"shadow": "tried out in shadow", "off": "tried out no more"}
        return given.get(self.mode) or f"tried out on {self.share:.1%} of the customers"


def events_in(tags: dict[str, str], version: str) -> list[Record] | None:
    """All that is told of a version, in the order in which it was saved; None for one from before events were kept.

    Raises:
        BadRecordError: The tag holds something else.
    """
    if EVENTS_TAG not in tags:
        return None
    kinds: dict[str, type[Record]] = {
        kind.TAG: kind for kind in (GatesRecord, ApprovalRecord, PromotionRecord, RollbackRecord, TrafficRecord)
    }
    try:
        return [kinds[item["kind"]].model_validate(item["record"]) for item in _events_in(tags, version)]
    except (KeyError, TypeError, ValidationError) as error:
        raise _bad_events(version) from error


def _events_in(tags: dict[str, str], version: str) -> list[Any]:
    try:
        events = json.loads(tags.get(EVENTS_TAG, "[]"))
    except ValueError as error:
        raise _bad_events(version) from error
    if not isinstance(events, list):
        raise _bad_events(version)
    return events


def _bad_events(version: str) -> BadRecordError:
    return BadRecordError(
        f"The tag {EVENTS_TAG} of {MODEL_NAME} version {version} is no list of records. Remove the tag, or give it "
        "back what Holdfast wrote."
    )
