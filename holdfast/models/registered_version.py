"""A registered version as its tags describe it: how it is served, and what it gets to score as challenger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from holdfast.core.errors import HoldfastError
from holdfast.models.contract import MODEL_NAME, SERVED_MODEL_TAG, ServedModel

TRAFFIC_TAG = "holdfast.traffic"
MAX_SHARE = 0.5

TRAIN_AGAIN = "Train again with `python -m flows.train`, and promote what it gives."


class RegistryError(HoldfastError):
    """The registry gives no model to serve."""


class NoSuchAliasError(RegistryError):
    """No version has the alias."""


class NoRegistryError(NoSuchAliasError):
    """Nothing was ever registered: there is not even a database."""


class RegistryUnavailableError(RegistryError):
    """The registry, or its store of files, did not answer; trying again may help."""


class NotServableError(RegistryError):
    """A version is not as ``flows.train`` registers it, or not any more; trying again does not help."""


class Traffic(BaseModel):
    """What the challenger gets to score: everything, unseen, or the requests of a share of the customers.

    Whoever watches over it may give it for a time only, and renew that: from ``until`` on it is nothing, so what nobody
    watches any more ends by itself. None: until it is said otherwise.
    """

    model_config = ConfigDict(frozen=True)

    mode: Literal["shadow", "canary", "off"]
    share: float = Field(default=0.0, ge=0, le=MAX_SHARE)
    until: AwareDatetime | None = None

    def active_at(self, now: datetime) -> "Traffic":
        """What it is at ``now``."""
        return Traffic(mode="off") if self.until is not None and now >= self.until else self

    @model_validator(mode="after")
    def _share_of_canary(self) -> Self:
        if (self.mode == "canary") != (self.share > 0):
            raise ValueError(
                f"a canary needs a share above 0, and nothing else takes one; {self.mode} has {self.share}"
            )
        return self


@dataclass(frozen=True)
class RegisteredVersion:
    """A version as the registry names it."""

    number: str
    tags: Mapping[str, str]

    def contract(self) -> ServedModel:
        """How it is served.

        Raises:
            NotServableError: The tag holds no contract, or one of an earlier Holdfast.
        """
        if SERVED_MODEL_TAG not in self.tags:
            raise NotServableError(
                f"Version {self.number} of {MODEL_NAME} has no tag {SERVED_MODEL_TAG}: it was not registered by "
                f"flows.train. {TRAIN_AGAIN}"
            )
        try:
            contract = ServedModel.model_validate_json(self.tags[SERVED_MODEL_TAG])
        except ValidationError as error:
            raise NotServableError(
                f"The tag {SERVED_MODEL_TAG} of version {self.number} of {MODEL_NAME} is no model contract: "
                f"{_first(error)}. {TRAIN_AGAIN}"
            ) from error
        if not contract.model_sha256 or not contract.examples:
            raise NotServableError(
                f"Version {self.number} of {MODEL_NAME} was registered by an earlier Holdfast, without the SHA-256 of "
                f"its file or without examples of its scores. {TRAIN_AGAIN}"
            )
        return contract.model_copy(update={"model_version": self.number})

    def traffic(self) -> Traffic:
        """What it gets to score as challenger; "off" where nothing was said.

        Raises:
            NotServableError: The tag says something that no service understands.
        """
        if TRAFFIC_TAG not in self.tags:
            return Traffic(mode="off")
        try:
            return Traffic.model_validate_json(self.tags[TRAFFIC_TAG])
        except ValidationError as error:
            raise NotServableError(
                f"The tag {TRAFFIC_TAG} of version {self.number} of {MODEL_NAME} says nothing that can be done: "
                f"{_first(error)}. Set it with `python -m flows.traffic`."
            ) from error


def _first(error: ValidationError) -> str:
    """What is wrong first, and with which field if it is one."""
    found = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, found["loc"])), found["msg"]]))
