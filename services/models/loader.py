"""Loading of models for serving: file and example scores are verified before the first request."""

from collections.abc import Callable
from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from holdfast.core.model_names import ModelKind
from holdfast.models.contract import CONTRACT_FILE, MODEL_FILE, MODEL_NAME, ServedModel
from holdfast.models.loaded_model import UnusableModelError
from holdfast.models.loaded_version import LoadedVersion
from holdfast.models.remedies import PACKAGE, PACKAGE_AGAIN
from holdfast.models.version_loaders import VERSION_LOADERS
from services.errors import NotReadyError
from services.observability.logs import LOG

Load = Callable[[ServedModel, bytes], LoadedVersion]


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


def load_saved_model(folder: Path, kind: ModelKind = "classification") -> LoadedVersion:
    """Load the model of a folder.

    Args:
        folder: Folder with contract and model file.
        kind: Kind of the model.

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
    return load_served_model(contract, content, kind)


def load_served_model(contract: ServedModel, content: bytes, kind: ModelKind = "classification") -> LoadedVersion:
    """Load a model for serving.

    Args:
        contract: Contract of the model.
        content: Model file.
        kind: Kind of the model.

    Returns:
        Verified model.

    Raises:
        NotReadyError: The loader of the kind rejects the model.
    """
    try:
        model = VERSION_LOADERS[kind](contract, content)
    except UnusableModelError as error:
        raise NotReadyError(error.message, error.remedy) from error
    if model.mismatch:
        about = f"{contract.model_name} version {contract.model_version}"
        LOG.warning("The compiled form of %s is not used: %s", about, model.mismatch)
    return model
