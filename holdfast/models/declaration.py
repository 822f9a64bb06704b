"""Declarations of the models: one YAML file per model in ``feature_repo/models``."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

import feature_repo
from feature_repo.names import FEATURE_SERVICE
from holdfast.core.errors import HoldfastError
from holdfast.core.model_names import CHURN as CHURN
from holdfast.core.model_names import ModelKind, prediction_column

_FOLDER = Path(feature_repo.__file__).parent / "models"


class DeclarationError(HoldfastError):
    """Unknown model, or declaration that cannot be used."""


class ModelDeclaration(BaseModel):
    """Declaration of a model.

    Attributes:
        name: Name of the file.
        kind: ``classification`` gives the probability of the label, ``regression`` its expected value.
        description: Description of the registered model.
        feature_service: Feature service of the inputs. All models share one, so that a request reads features once.
        label: Name of the label in ``feature_repo.labels``.
        candidates: Model families that compete.
        gates: Thresholds of the gates that differ from the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: ModelKind
    description: str
    feature_service: str
    label: str
    candidates: list[str]
    gates: dict[str, Any] = {}

    @property
    def registered_name(self) -> str:
        """Return the name in the model registry, which is also that of the MLflow experiment."""
        return registered_name(self.name)

    @property
    def prediction_column(self) -> str:
        """Return the name of the prediction, in responses and in the prediction log."""
        return prediction_column(self.name, self.kind)

    @field_validator("feature_service")
    @classmethod
    def _shared_service(cls, value: str) -> str:
        if value != FEATURE_SERVICE:
            raise ValueError(f"must be {FEATURE_SERVICE}: all models share one feature service")
        return value


def registered_name(model: str) -> str:
    """Return the name of a model in the registry.

    Args:
        model: Name of the model.

    Returns:
        Name of the registered model.
    """
    return f"holdfast-{model}"


def declared_name(registered: str) -> str:
    """Return the name of a model from that in the registry.

    Args:
        registered: Name of the registered model.

    Returns:
        Name of the model.
    """
    return registered.removeprefix(registered_name(""))


def model_option(registered: str) -> str:
    """Return the option by which a command names a model.

    Args:
        registered: Name of the registered model.

    Returns:
        The option with a leading space; empty for churn, the default of every command.
    """
    name = declared_name(registered)
    return "" if name == CHURN else f" --model {name}"


def list_models() -> list[str]:
    """List the declared models.

    Returns:
        Names, sorted.
    """
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


@cache
def load_declaration(name: str) -> ModelDeclaration:
    """Load the declaration of a model.

    Args:
        name: Name of the model, such as ``churn``.

    Returns:
        The declaration.

    Raises:
        DeclarationError: There is no such model, or its file is not a declaration.
    """
    if name not in (known := list_models()):
        raise DeclarationError(f"There is no model {name!r}: choose one of {', '.join(known)} (feature_repo/models).")
    path = _FOLDER / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text())
        return ModelDeclaration.model_validate({"name": name, **content})
    except (yaml.YAMLError, TypeError) as error:
        raise DeclarationError(f"{path} is not a mapping in YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise DeclarationError(f"{path} is not the declaration of a model: {'; '.join(problems)}.") from error
