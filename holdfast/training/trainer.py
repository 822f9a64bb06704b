"""Person or program that trained a version, in a tag of the version."""

import json
from dataclasses import asdict

from pydantic import TypeAdapter, ValidationError

from holdfast.core.identity import Person
from holdfast.runtime.callers import identify_caller
from holdfast.training.mlflow_client import ModelClient

TRAINER_TAG = "holdfast.trained_by"
_PERSON = TypeAdapter(Person)


def render_trainer() -> str:
    """Render the person that runs the current training.

    Returns:
        Value of ``TRAINER_TAG``.
    """
    return json.dumps(asdict(identify_caller()))


def read_trainer(client: ModelClient, version: str) -> Person | None:
    """Read which person or program trained a version.

    Args:
        client: Client of the registry.
        version: Version number.

    Returns:
        The person; None for a version from before it was recorded, or with another content of the tag.
    """
    return parse_trainer(client.get_model_version(client.model_name, version).tags)


def parse_trainer(tags: dict[str, str]) -> Person | None:
    """Parse which person or program trained a version.

    Args:
        tags: Tags of the version.

    Returns:
        The person; None as in :func:`read_trainer`.
    """
    try:
        return _PERSON.validate_json(tags.get(TRAINER_TAG, ""))
    except ValidationError:
        return None
