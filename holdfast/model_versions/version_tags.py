"""A record on a model version: JSON in a tag of its own, and one more in the list of all that has happened to it."""

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.core.errors import HoldfastError
from holdfast.models.contract import MODEL_NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient

EVENTS_TAG = "holdfast.events"
_EVENTS_KEPT = 100
_TAG_CHARACTERS = 100_000  # MLflow's limit


class BadRecordError(HoldfastError):
    """A tag of a model version is not what Holdfast wrote."""


class TaggedRecord(BaseModel):
    """A record in the tag ``TAG`` of a model version."""

    model_config = ConfigDict(frozen=True)
    TAG: ClassVar[str]

    @classmethod
    def load(cls, client: "MlflowClient", version: str) -> Self | None:
        """The record of a version, None when it has none.

        Raises:
            BadRecordError: The tag holds something else.
        """
        return cls.from_tags(client.get_model_version(MODEL_NAME, version).tags, version)

    @classmethod
    def from_tags(cls, tags: dict[str, str], version: str) -> Self | None:
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
        self.write_tag(client, version)
        self.append_event(client, version)

    def write_tag(self, client: "MlflowClient", version: str) -> None:
        """Write it as the latest of its kind. It has not happened until it is told."""
        client.set_model_version_tag(MODEL_NAME, version, self.TAG, self.model_dump_json())

    def append_event(self, client: "MlflowClient", version: str) -> None:
        """Append it to the events, of which the newest 100 are kept; what is told already is not told twice."""
        events = read_events(client.get_model_version(MODEL_NAME, version).tags, version)
        event = {"kind": self.TAG, "record": self.model_dump(mode="json")}
        if event in events:
            return
        events = [*events, event][-_EVENTS_KEPT:]
        while len(text := json.dumps(events)) > _TAG_CHARACTERS and len(events) > 1:
            events = events[1:]
        client.set_model_version_tag(MODEL_NAME, version, EVENTS_TAG, text)


def read_events(tags: dict[str, str], version: str) -> list[Any]:
    """All that is told of a version, as JSON values; BadRecordError where the tag holds something else."""
    try:
        events = json.loads(tags.get(EVENTS_TAG, "[]"))
    except ValueError as error:
        raise events_error(version) from error
    if not isinstance(events, list):
        raise events_error(version)
    return events


def events_error(version: str) -> BadRecordError:
    """That the tag of events cannot be read."""
    return BadRecordError(
        f"The tag {EVENTS_TAG} of {MODEL_NAME} version {version} is no list of records. Remove the tag, or give it "
        "back what Holdfast wrote."
    )
