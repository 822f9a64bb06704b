"""Records on model versions: JSON in one tag per kind of record, and a list of all events in ``EVENTS_TAG``."""

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.core.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.training.mlflow_client import ModelClient

EVENTS_TAG = "holdfast.events"
_MAX_EVENTS = 100
_TAG_CHARACTERS = 100_000  # MLflow's limit


class BadRecordError(HoldfastError):
    """A tag of a model version that Holdfast did not write."""


class TaggedRecord(BaseModel):
    """A record in the tag ``TAG`` of a model version. Fields with an alias have that name in the JSON."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)
    TAG: ClassVar[str]

    @classmethod
    def load(cls, client: "ModelClient", version: str) -> Self | None:
        """Load the latest record of a version.

        Args:
            client: MLflow's client.
            version: Version number.

        Returns:
            The record, or None.

        Raises:
            BadRecordError: The tag has other content.
        """
        return cls.from_tags(client.get_model_version(client.model_name, version).tags, version)

    @classmethod
    def from_tags(cls, tags: dict[str, str], version: str) -> Self | None:
        """Parse the latest record of a version.

        Args:
            tags: Tags of the version.
            version: Version number, for the error message.

        Returns:
            The record, or None.

        Raises:
            BadRecordError: The tag has other content.
        """
        if cls.TAG not in tags:
            return None
        try:
            return cls.model_validate_json(tags[cls.TAG])
        except ValidationError as error:
            raise BadRecordError(
                f"The tag {cls.TAG} of version {version} is not a {cls.__name__}: "
                f"{error.errors()[0]['msg']}. Remove the tag, or restore the value that Holdfast wrote."
            ) from error

    def save(self, client: "ModelClient", version: str) -> None:
        """Write the tag and append the event.

        Args:
            client: MLflow's client.
            version: Version number.
        """
        self.write_tag(client, version)
        self.append_event(client, version)

    def write_tag(self, client: "ModelClient", version: str) -> None:
        """Write the tag. The action of the record counts as done only once its event is appended.

        Args:
            client: MLflow's client.
            version: Version number.
        """
        client.set_model_version_tag(client.model_name, version, self.TAG, self.model_dump_json())

    def append_event(self, client: "ModelClient", version: str) -> None:
        """Append the record to the event list (newest 100, at most 100,000 characters); a duplicate is ignored.

        Args:
            client: MLflow's client.
            version: Version number.
        """
        events = read_events(client.get_model_version(client.model_name, version).tags, version)
        event = {"kind": self.TAG, "record": self.model_dump(mode="json")}
        if event in events:
            return
        events = [*events, event][-_MAX_EVENTS:]
        while len(text := json.dumps(events)) > _TAG_CHARACTERS and len(events) > 1:
            events = events[1:]
        client.set_model_version_tag(client.model_name, version, EVENTS_TAG, text)


def read_events(tags: dict[str, str], version: str) -> list[Any]:
    """Read the event list of a version.

    Args:
        tags: Tags of the version.
        version: Version number, for the error message.

    Returns:
        The events as JSON values, oldest first.

    Raises:
        BadRecordError: The tag is not a list.
    """
    try:
        events = json.loads(tags.get(EVENTS_TAG, "[]"))
    except ValueError as error:
        raise events_error(version) from error
    if not isinstance(events, list):
        raise events_error(version)
    return events


def events_error(version: str) -> BadRecordError:
    """Create the error for an unreadable event list.

    Args:
        version: Version number.

    Returns:
        The error.
    """
    return BadRecordError(
        f"The tag {EVENTS_TAG} of version {version} is not a list of records. Remove the tag, or restore "
        "the value that Holdfast wrote."
    )
