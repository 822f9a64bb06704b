"""Registered model version: its contract and its traffic as challenger, read from tags."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from feature_repo.timestamps import as_utc
from holdfast.core.errors import HoldfastError
from holdfast.models.contract import AS_OF_TAG, MODEL_NAME, SERVED_MODEL_TAG, ServedModel
from holdfast.models.remedies import RETRAIN, SET_TRAFFIC

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

TRAFFIC_TAG = "holdfast.traffic"
MAX_SHARE = 0.5


class RegistryError(HoldfastError):
    """Model registry without a usable model."""


class NoSuchAliasError(RegistryError):
    """Alias that no version has."""


class NoRegistryError(NoSuchAliasError):
    """Registry without a database: nothing was ever registered."""


class RegistryUnavailableError(RegistryError):
    """Registry or artifact store that does not respond; a retry may help."""


class NotServableError(RegistryError):
    """Version that was registered by other code, or changed since; a retry does not help."""


class Traffic(BaseModel):
    """Traffic of the challenger.

    Attributes:
        mode: ``shadow`` scores all requests without returning the scores, ``canary`` serves a share of the customers.
        share: Share of the customers in mode ``canary``.
        until: End of the lease, which a running rollout extends, so that unattended traffic ends; None for no end.
    """

    model_config = ConfigDict(frozen=True)

    mode: Literal["shadow", "canary", "off"]
    share: float = Field(default=0.0, ge=0, le=MAX_SHARE)
    until: AwareDatetime | None = None

    def active_at(self, now: datetime) -> "Traffic":
        """Apply the lease.

        Args:
            now: Current time.

        Returns:
            The traffic at ``now``: "off" after the end of the lease.
        """
        return Traffic(mode="off") if self.until is not None and now >= self.until else self

    @model_validator(mode="after")
    def _share_of_canary(self) -> Self:
        if (self.mode == "canary") != (self.share > 0):
            raise ValueError(
                f"canary requires a share above 0 and other modes accept none; {self.mode} has {self.share}"
            )
        return self


@dataclass(frozen=True)
class RegisteredVersion:
    """Version in the model registry.

    Attributes:
        number: Version number.
        tags: Tags of the version.
        model_name: Name of the registered model.
    """

    number: str
    tags: Mapping[str, str]
    model_name: str = MODEL_NAME

    @classmethod
    def from_mlflow(cls, version: "ModelVersion") -> Self:
        """Convert MLflow's record of a version.

        Args:
            version: The version as MLflow returns it.

        Returns:
            Number and tags.
        """
        return cls(str(version.version), dict(version.tags), str(version.name))

    def contract(self) -> ServedModel:
        """Read the contract.

        Returns:
            The contract, with the version number.

        Raises:
            NotServableError: The tag is not a contract, or a contract of an early release.
        """
        if SERVED_MODEL_TAG not in self.tags:
            raise NotServableError(
                f"Version {self.number} of {self.model_name} has no tag {SERVED_MODEL_TAG}: it was not registered by "
                f"Holdfast's training. {RETRAIN}"
            )
        try:
            contract = ServedModel.model_validate_json(self.tags[SERVED_MODEL_TAG])
        except ValidationError as error:
            raise NotServableError(
                f"The tag {SERVED_MODEL_TAG} of version {self.number} of {self.model_name} is not a model contract: "
                f"{_first_problem(error)}. {RETRAIN}"
            ) from error
        if not contract.model_sha256 or not (contract.examples or contract.predicted_examples):
            raise NotServableError(
                f"Version {self.number} of {self.model_name} was registered by an early release, without the SHA-256 "
                f"of its file or without example scores. {RETRAIN}"
            )
        if contract.model_name != self.model_name:
            raise NotServableError(
                f"The contract of version {self.number} of {self.model_name} is one of {contract.model_name}. {RETRAIN}"
            )
        return contract.model_copy(update={"model_version": self.number})

    def trained_as_of(self) -> datetime | None:
        """Read the ``as_of`` of the training.

        Returns:
            The time, UTC; None if training did not register the version.
        """
        tag = self.tags.get(AS_OF_TAG)
        return as_utc(datetime.fromisoformat(tag)) if tag else None

    def traffic(self) -> Traffic:
        """Read the traffic of the version as challenger.

        Returns:
            The traffic; "off" without a tag.

        Raises:
            NotServableError: The tag is invalid.
        """
        if TRAFFIC_TAG not in self.tags:
            return Traffic(mode="off")
        try:
            return Traffic.model_validate_json(self.tags[TRAFFIC_TAG])
        except ValidationError as error:
            raise NotServableError(
                f"The tag {TRAFFIC_TAG} of version {self.number} of {self.model_name} is invalid: "
                f"{_first_problem(error)}. {SET_TRAFFIC}"
            ) from error


def _first_problem(error: ValidationError) -> str:
    """Format the first error with its field."""
    found = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, found["loc"])), found["msg"]]))
