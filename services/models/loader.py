"""Loading of models for serving: file and example scores are verified before the first request."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import bentoml
from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from holdfast.core.model_names import ModelKind
from holdfast.models.contract import CONTRACT_FILE, MODEL_FILE, MODEL_NAME, ServedModel
from holdfast.models.loaded_model import LoadedModel, UnusableModelError, load_verified_model
from holdfast.models.loaded_regressor import load_verified_regressor
from holdfast.models.loaded_version import LoadedVersion
from holdfast.models.remedies import PACKAGE, PACKAGE_AGAIN
from services.errors import NotReadyError
from services.observability.logs import LOG

Load = Callable[[ServedModel, bytes], LoadedVersion]
_Version = TypeVar("_Version", bound=LoadedVersion)


def model_folder(bento: bentoml.Bento | None, name: str = MODEL_NAME) -> Path:
    """Return the folder of a model of the bento.

    A bento in the local store shares its models with the model store, where "latest" may name a newer version than
    at its build; the bento's record of the version is used instead.

    Args:
        bento: The bento; None: the model that was saved last.
        name: Name of the registered model.

    Returns:
        Folder with contract and model file.

    Raises:
        NotReadyError: There is no such model.
    """
    tags = [info.tag for info in bento.info.all_models if info.tag.name == name] if bento else []
    reference = str(tags[0]) if tags else f"{name}:latest"
    try:
        return Path(bentoml.models.get(reference).path)
    except BentoMLException:
        raise NotReadyError(f"The model {reference} is not in the model store.", PACKAGE) from None


def load_saved_model(folder: Path, load: Load | None = None) -> LoadedVersion:
    """Load the model of a folder.

    Args:
        folder: Folder with contract and model file.
        load: Loader of the model's kind; None: that of a classification.

    Returns:
        Verified model.

    Raises:
        NotReadyError: A file is missing, or ``load_served_model`` rejects the model.
    """
    try:
        contract = ServedModel.model_validate_json((folder / CONTRACT_FILE).read_bytes())
        content = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise NotReadyError("The model is incomplete.", f"{error.filename} cannot be read. {PACKAGE_AGAIN}") from error
    except ValidationError as error:
        raise NotReadyError(
            "The model's contract cannot be read.",
            f"{folder / CONTRACT_FILE}: {error.errors()[0]['msg']}. {PACKAGE_AGAIN}",
        ) from error
    return (load or load_served_model)(contract, content)


def load_served_model(contract: ServedModel, content: bytes) -> LoadedModel:
    """Load a model for serving.

    Args:
        contract: Contract of the model.
        content: Model file.

    Returns:
        Verified model.

    Raises:
        NotReadyError: ``holdfast.models.loaded_model.load_verified_model`` rejects the model.
    """
    model = _load(load_verified_model, contract, content)
    if model.scorer_mismatch:
        LOG.warning(
            "The compiled scorer of model version %s is not used: %s", contract.model_version, model.scorer_mismatch
        )
    return model


def load_served_regressor(contract: ServedModel, content: bytes) -> LoadedVersion:
    """Load a regression for serving.

    Args:
        contract: Contract of the model.
        content: Model file.

    Returns:
        Verified model.

    Raises:
        NotReadyError: ``holdfast.models.loaded_regressor.load_verified_regressor`` rejects the model.
    """
    model = _load(load_verified_regressor, contract, content)
    if model.mismatch:
        LOG.warning(
            "The compiled form of %s version %s is not used: %s",
            contract.model_name,
            contract.model_version,
            model.mismatch,
        )
    return model


def _load(load: Callable[[ServedModel, bytes], _Version], contract: ServedModel, content: bytes) -> _Version:
    try:
        return load(contract, content)
    except UnusableModelError as error:
        raise NotReadyError(error.message, error.remedy) from error


LOADERS: dict[ModelKind, Load] = {"classification": load_served_model, "regression": load_served_regressor}
