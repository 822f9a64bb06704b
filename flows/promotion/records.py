"""What gates, approvals, promotions and rollbacks leave on a model version: JSON in one tag each."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.errors import HoldfastError
from feature_repo.model_contract import MODEL_NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient


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
        """Write it, over an earlier one."""
        client.set_model_version_tag(MODEL_NAME, version, self.TAG, self.model_dump_json())


class GatesRecord(Record):
    """The verdict over a version. ``champion``: whom it was compared with; ``key``: names the evidence."""

    TAG = "holdfast.gates"

    verdict: Literal["passed", "failed"]
    champion: str | None
    settings: str
    when: datetime
    failed: list[str]
    key: str


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


class RollbackRecord(Record):
    """Why a version is no longer the champion. ``times``: how often that has happened to it."""

    TAG = "holdfast.rollback"

    to: str
    when: datetime
    who: str
    why: str
    times: int = 1
