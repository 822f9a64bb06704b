"""The model version to serve, out of MLflow's registry."""

import hashlib
from pathlib import Path

from pydantic import ValidationError

from feature_repo.model_contract import CHAMPION, MODEL_FILE, MODEL_NAME, SERVED_MODEL_TAG, ServedModel
from feature_repo.settings import Settings
from flows.packaging.errors import PackagingError, RegistryUnavailableError

_NO_CHAMPION = (
    f"{MODEL_NAME} has no {CHAMPION} in the registry. Run `python -m flows.train` first, and promote what it trained "
    "with `python -m flows.promote`."
)
# MLflow's codes for a missing model and for a missing alias.
_NOT_FOUND = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


def champion_from_registry(settings: Settings) -> tuple[ServedModel, Path]:
    """The contract of the version that the alias ``champion`` names, and its downloaded model file.

    Training leaves the contract in a tag of the version; what only the registry knows, the version and the
    digest of the file, is filled in here.

    Raises:
        PackagingError: There is no champion, or it was not registered by ``flows.train``.
        RegistryUnavailableError: The registry or its files cannot be read.
    """
    import mlflow
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    uri = settings.mlflow_tracking_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise PackagingError(_NO_CHAMPION)  # MLflow would create an empty database
    try:
        version = MlflowClient(uri, registry_uri=uri).get_model_version_by_alias(MODEL_NAME, CHAMPION)
    except MlflowException as error:
        if error.error_code in _NOT_FOUND:
            raise PackagingError(_NO_CHAMPION) from error
        raise RegistryUnavailableError(f"The model registry cannot be read: {error.message.splitlines()[0]}") from error
    if SERVED_MODEL_TAG not in version.tags:
        raise PackagingError(
            f"Version {version.version} of {MODEL_NAME} has no tag {SERVED_MODEL_TAG}: it was not registered by "
            f"flows.train. Train again, or move the alias {CHAMPION} back."
        )
    mlflow.set_tracking_uri(uri)  # a download of models:/ asks this registry, whatever address it is given
    try:
        folder = Path(download_artifacts(f"models:/{MODEL_NAME}/{version.version}", tracking_uri=uri, registry_uri=uri))
    except (MlflowException, OSError) as error:  # the errors of an HTTP client are OSErrors
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RegistryUnavailableError(
            f"Version {version.version} of {MODEL_NAME} cannot be downloaded: {reason}"
        ) from error
    file = folder / MODEL_FILE
    if not file.is_file():
        raise PackagingError(
            f"Version {version.version} of {MODEL_NAME} holds no {MODEL_FILE}: log it with "
            'serialization_format="skops".'
        )
    try:
        known = ServedModel.model_validate_json(version.tags[SERVED_MODEL_TAG])
    except ValidationError as error:
        raise PackagingError(
            f"The tag {SERVED_MODEL_TAG} of version {version.version} is no model contract: {error.errors()[0]['msg']}."
        ) from error
    completed = {"model_version": str(version.version), "model_sha256": sha256_of(file)}
    return known.model_copy(update=completed), file


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
