"""A model as it serves: verified byte for byte and score for score before its first request."""

from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from holdfast.models import loaded_model
from holdfast.models.contract import CONTRACT_FILE, MODEL_FILE, MODEL_NAME, ServedModel
from holdfast.models.loaded_model import PACKAGE_AGAIN, LoadedModel, UnusableModelError
from services.errors import NotReadyError
from services.observability.logs import LOG

__all__ = ["load_model", "load_saved_model", "model_folder"]


def model_folder(bento: bentoml.Bento | None) -> Path:
    """The folder of the model that the bento was built with; outside a bento, of the model saved last.

    A bento in the local store keeps its models in the shared model store, where "latest" may have moved on
    since it was built: its own record of the version decides.

    Raises:
        NotReadyError: No such model.
    """
    tags = [info.tag for info in bento.info.all_models if info.tag.name == MODEL_NAME] if bento else []
    reference = str(tags[0]) if tags else f"{MODEL_NAME}:latest"
    try:
        return Path(bentoml.models.get(reference).path)
    except BentoMLException:
        raise NotReadyError(
            f"The model {reference} is not in the model store.", "Package the champion: `python -m flows.package`."
        ) from None


def load_saved_model(folder: Path) -> LoadedModel:
    """The model that was saved into ``folder``.

    Raises:
        NotReadyError: A file is missing, or as for ``load_model``.
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
    return load_model(contract, content)


def load_model(contract: ServedModel, content: bytes) -> LoadedModel:
    """The model in ``content``, as far as the contract vouches for it.

    Raises:
        NotReadyError: As ``holdfast.models.loaded_model.load_model`` refuses it.
    """
    try:
        model = loaded_model.load_model(contract, content)
    except UnusableModelError as error:
        raise NotReadyError(error.message, error.remedy) from error
    if model.scorer_mismatch:
        LOG.warning(
            "The compiled scorer of model version %s is not used: %s", contract.model_version, model.scorer_mismatch
        )
    return model
