"""Client of the model registry: the version of an alias, and model files.

MLflow is imported inside the functions: the import takes a second and is not needed without a registry.
"""

import hashlib
import importlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from feature_repo.database_urls import read_only_sqlite_url, sqlite_path
from holdfast.core.redaction import redact_logins
from holdfast.models.artifact_sources import require_readable_size, require_source
from holdfast.models.contract import MODEL_FILE, MODEL_NAME, ServedModel
from holdfast.models.declaration import declared_name, load_declaration
from holdfast.models.promotion_signature import require_signed
from holdfast.models.registered_version import (
    NoRegistryError,
    NoSuchAliasError,
    NotServableError,
    RegisteredVersion,
    RegistryError,
    RegistryUnavailableError,
)
from holdfast.models.remedies import FIRST_MODEL, RETRAIN

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from holdfast.models.loaded_version import LoadedVersion

# MLflow's codes for a missing model and for a missing alias. A server other than MLflow returns other codes.
NOT_FOUND_CODES = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
# By default MLflow retries an unreachable server for minutes, and its connection pool continues to read a database file
# that was replaced. MLflow reads these options from the environment only, at each request.
FAIL_FAST_ENV = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
}

_Result = TypeVar("_Result")


def set_fail_fast_env() -> list[str]:
    """Set MLflow's short timeouts in the environment of this process, except those that the user has set.

    A service calls this function once, at its start: no thread may read the environment while another changes it.

    Returns:
        Names of the variables that were set.
    """
    added = [name for name in FAIL_FAST_ENV if name not in os.environ]
    for name in added:
        os.environ[name] = FAIL_FAST_ENV[name]
    return added


@contextmanager
def fail_fast_env() -> Iterator[None]:
    """Set MLflow's short timeouts for the block only, for a flow: training in the same process needs longer ones.

    Yields:
        Nothing.
    """
    added = set_fail_fast_env()
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class RegistryClient:
    """Read-only client of the MLflow registry at a tracking URI; connections to an embedded database cannot write.

    MLflow waits for minutes for a registry that does not respond, unless :func:`set_fail_fast_env` was called.
    :meth:`download_by_alias` always uses the short timeouts.

    Args:
        uri: Tracking URI of MLflow.
        model_name: Name of the registered model.
    """

    def __init__(self, uri: str, model_name: str = MODEL_NAME) -> None:
        self.uri, self.model_name = uri, model_name
        self._database = sqlite_path(uri)
        self._read_uri = read_only_sqlite_url(self._database) if self._database is not None else uri
        self._client: MlflowClient | None = None

    def get_by_alias(self, alias: str) -> RegisteredVersion:
        """Look up the version of an alias.

        Args:
            alias: Alias, such as ``champion``.

        Returns:
            The version.

        Raises:
            NoSuchAliasError: No version has the alias.
            RegistryUnavailableError: The registry does not respond.
        """
        missing = f"{self.model_name} has no {alias} in the registry. {FIRST_MODEL}"
        if self._database is not None:
            _require_model(self._database, self.model_name, missing)
        with _convert_errors(
            "The model registry cannot be read", {code: NoSuchAliasError(missing) for code in NOT_FOUND_CODES}
        ):
            found = self._call(lambda client: client.get_model_version_by_alias(self.model_name, alias))
        return RegisteredVersion.from_mlflow(found)

    def download_by_alias(self, alias: str) -> tuple[ServedModel, bytes]:
        """Download the version of an alias, for a flow.

        Args:
            alias: Alias, such as ``champion``.

        Returns:
            Contract and content of the model file.

        Raises:
            NoSuchAliasError: No version has the alias.
            NotServableError: The version has no valid contract or signature, or its file was changed.
            RegistryUnavailableError: The registry does not respond.
        """
        with fail_fast_env():
            version = self.get_by_alias(alias)
            require_signed(version, alias)
            contract = version.contract()
            return contract, self.download_model(contract)

    def download_unverified(self, number: str) -> bytes:
        """Download the model file of a version, also of a version without a valid contract.

        Args:
            number: Version number.

        Returns:
            Content of the model file, as the artifact store returns it.

        Raises:
            RegistryUnavailableError: The file cannot be downloaded.
        """
        with _convert_errors(f"Version {number} of {self.model_name} cannot be downloaded"):
            return self._download(
                self._call(lambda client: client.get_model_version_download_uri(self.model_name, number))
            )

    def download_model(self, contract: ServedModel) -> bytes:
        """Download the model file of a version and verify its SHA-256.

        Args:
            contract: Contract of the version.

        Returns:
            Content of the model file, as it was registered.

        Raises:
            NotServableError: The file was changed.
            RegistryUnavailableError: The file cannot be downloaded.
        """
        number = contract.model_version
        content = self.download_unverified(number)
        if (digest := hashlib.sha256(content).hexdigest()) != contract.model_sha256:
            raise NotServableError(
                f"The file of version {number} of {self.model_name} has SHA-256 {digest[:12]}, but was registered with "
                f"{contract.model_sha256[:12]}: it was changed or damaged in the artifact store. {RETRAIN}"
            )
        return content

    def download_and_load(self, contract: ServedModel) -> "LoadedVersion":
        """Download and load the model of a version.

        Args:
            contract: Contract of the version.

        Returns:
            The loaded model.

        Raises:
            NotServableError, UnusableModelError: The file is not the registered one, or cannot be used.
            RegistryUnavailableError: The file cannot be downloaded now.
        """
        from holdfast.models.version_loaders import VERSION_LOADERS

        kind = load_declaration(declared_name(self.model_name)).kind
        return VERSION_LOADERS[kind](contract, self.download_model(contract))

    def download_logged_model(self, model_id: str) -> bytes:
        """Download the file of a logged model, whose SHA-256 is registered.

        Args:
            model_id: MLflow's id of the model.

        Returns:
            Content of the model file, as the artifact store returns it.

        Raises:
            RegistryUnavailableError: The file cannot be downloaded.
        """
        with _convert_errors(f"The model {model_id} cannot be downloaded"):
            return self._download(self._call(lambda client: client.get_logged_model(model_id).artifact_location))

    def warm_up(self) -> None:
        """Import MLflow and open the registry, so that the first request takes only the registry's own time.

        Errors are ignored here; the first request raises them.
        """
        with suppress(RegistryError, ImportError), _convert_errors("The model registry cannot be opened"):
            if self._database is not None:
                _require_model(self._database, self.model_name, "")
                self._call(lambda client: None)
            elif self.uri.startswith("http"):
                importlib.import_module("mlflow.tracking.request_header.registry")  # at a first request, with plugins

    def _call(self, request: "Callable[[MlflowClient], _Result]") -> _Result:
        from mlflow import MlflowClient

        if self._client is None:
            self._client = MlflowClient(self._read_uri, registry_uri=self._read_uri)
        return request(self._client)

    def _download(self, folder_uri: str) -> bytes:
        from mlflow.artifacts import download_artifacts

        address = f"{self._resolve(folder_uri)}/{MODEL_FILE}"
        require_source(address, self.uri)
        with tempfile.TemporaryDirectory(prefix="holdfast-model-") as folder:
            uri = self._read_uri
            path = Path(download_artifacts(address, dst_path=folder, tracking_uri=uri, registry_uri=uri))
            require_readable_size(path)
            return path.read_bytes()

    def _resolve(self, folder_uri: str) -> str:
        """Resolve the address of a logged model: MLflow would do so itself, without a check of the result."""
        prefix, _, model_id = folder_uri.partition("models:/")
        if prefix or not model_id:
            return folder_uri
        return str(self._call(lambda client: client.get_logged_model(model_id).artifact_location))


def _require_model(database: Path, model_name: str, missing: str) -> None:
    """Check the embedded database before MLflow, which would create the database, or its tables during a training."""
    if not database.is_file():
        raise NoRegistryError(f"There is no registry at {database}: {missing}")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM registered_models WHERE name = ?", [model_name]).fetchone()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            raise NoRegistryError(f"There is no registry in {database} yet: {missing}") from error
        raise RegistryUnavailableError(f"The model registry cannot be read: {database}: {error}") from error
    if found is None:
        raise NoSuchAliasError(missing)


@contextmanager
def _convert_errors(message: str, known: Mapping[str, RegistryError] | None = None) -> Iterator[None]:
    """Convert any error of the block: ``known`` by MLflow's error code, any other to ``RegistryUnavailableError``.

    Each artifact store has its own client with its own error classes.
    """
    try:
        yield
    except RegistryError:
        raise
    except Exception as error:
        expected = (known or {}).get(getattr(error, "error_code", ""))
        lines = (str(error).strip() or type(error).__name__).splitlines()
        reason = lines[-1 if lines[0].endswith(":") else 0]  # MLflow lists failed downloads below a heading
        reason = redact_logins(reason)
        reason = re.sub(r" object at 0x[0-9a-f]+", "", reason)  # equal reasons have equal texts
        raise (expected or RegistryUnavailableError(f"{message}: {reason}")) from error
