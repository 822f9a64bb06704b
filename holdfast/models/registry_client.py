"""What the model registry says: the version behind an alias, and its file.

MLflow is imported inside the functions: it takes a second, and where nothing is registered it is not needed.
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

from holdfast.models.contract import MODEL_FILE, MODEL_NAME, ServedModel
from holdfast.models.registered_version import (
    TRAIN_AGAIN,
    NoRegistryError,
    NoSuchAliasError,
    NotServableError,
    RegisteredVersion,
    RegistryError,
    RegistryUnavailableError,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"
# MLflow's codes for a missing model and for a missing alias. A server that is no MLflow server gives others.
_NOT_FOUND = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
# MLflow tries an unreachable server for minutes. A pool of connections would go on reading a database file that was
# replaced.
FAIL_FAST_ENV = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
}

_Found = TypeVar("_Found")


def set_fail_fast_env() -> list[str]:
    """Set ``FAIL_FAST_ENV`` for this process, but for what the user has set; returns what was added.

    A service does so once, as it starts: no thread may read the environment while another changes it.
    """
    added = [name for name in FAIL_FAST_ENV if name not in os.environ]
    for name in added:
        os.environ[name] = FAIL_FAST_ENV[name]
    return added


@contextmanager
def fail_fast_env() -> Iterator[None]:
    """``FAIL_FAST_ENV`` within the block, for a flow: a training in the same process has more time."""
    added = set_fail_fast_env()
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class RegistryClient:
    """An MLflow registry at a tracking URI; nothing is created in it.

    How long it may take to answer is MLflow's to decide, which waits for minutes, unless :func:`set_fail_fast_env` was
    called. :meth:`download_by_alias` never takes longer than a few seconds.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._database = Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None
        self._client: MlflowClient | None = None

    def get_by_alias(self, alias: str) -> RegisteredVersion:
        """The version that ``alias`` names.

        Raises:
            NoSuchAliasError: None.
            RegistryUnavailableError: The registry cannot be read now.
        """
        none = (
            f"{MODEL_NAME} has no {alias} in the registry. Run `python -m flows.train` first, and promote what it "
            "trained with `python -m flows.promote`."
        )
        if self._database is not None:
            _require_model(self._database, none)
        with _trying("The model registry cannot be read", {code: NoSuchAliasError(none) for code in _NOT_FOUND}):
            found = self._ask(lambda client: client.get_model_version_by_alias(MODEL_NAME, alias))
        return RegisteredVersion(str(found.version), dict(found.tags))

    def download_by_alias(self, alias: str) -> tuple[ServedModel, bytes]:
        """Contract and file of the version that ``alias`` names, for a flow; errors as of the parts."""
        with fail_fast_env():
            contract = self.get_by_alias(alias).contract()
            return contract, self.download_model(contract)

    def download_model(self, contract: ServedModel) -> bytes:
        """The model file of a version, byte for byte the one that was registered.

        Raises:
            NotServableError: It is another.
            RegistryUnavailableError: It cannot be downloaded, or is not there, now.
        """
        number = contract.model_version
        with _trying(f"Version {number} of {MODEL_NAME} cannot be downloaded"):
            where = self._ask(lambda client: client.get_model_version_download_uri(MODEL_NAME, number))
            content = self._download(where)
        if (digest := hashlib.sha256(content).hexdigest()) != contract.model_sha256:
            raise NotServableError(
                f"The file of version {number} of {MODEL_NAME} has SHA-256 {digest[:12]}, but was registered with "
                f"{contract.model_sha256[:12]}: it was changed or damaged in the store of artifacts. {TRAIN_AGAIN}"
            )
        return content

    def download_logged_model(self, model_id: str) -> bytes:
        """The file of a logged model, as the store of artifacts gives it back; what registering takes the digest of.

        Raises:
            RegistryUnavailableError: It cannot be downloaded.
        """
        with _trying(f"The model {model_id} cannot be read back"):
            return self._download(self._ask(lambda client: client.get_logged_model(model_id).artifact_location))

    def warm_up(self) -> None:
        """Import and open what asking needs; what the first question takes is then the registry's own time.

        What goes wrong is left for the question to say.
        """
        with suppress(RegistryError, ImportError), _trying("prepare"):
            if self._database is not None:
                _require_model(self._database, "")
                self._ask(lambda client: None)
            elif self.uri.startswith("http"):
                # At its first request MLflow imports its plugins, of which Feast is one: here that takes half the time.
                for module in ("holdfast.feast_stores._feast_imports", "mlflow.tracking.request_header.registry"):
                    importlib.import_module(module)

    def _ask(self, question: "Callable[[MlflowClient], _Found]") -> _Found:
        from mlflow import MlflowClient

        if self._client is None:
            self._client = MlflowClient(self.uri, registry_uri=self.uri)
        return question(self._client)

    def _download(self, where: str) -> bytes:
        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory(prefix="holdfast-model-") as folder:
            place = f"{where}/{MODEL_FILE}"
            return Path(
                download_artifacts(place, dst_path=folder, tracking_uri=self.uri, registry_uri=self.uri)
            ).read_bytes()


def _require_model(database: Path, none: str) -> None:
    """Look into the embedded database before MLflow does, which would create one, or its tables beside a training."""
    if not database.is_file():
        raise NoRegistryError(f"There is no registry at {database}: {none}")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM registered_models WHERE name = ?", [MODEL_NAME]).fetchone()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            raise NoRegistryError(f"There is no registry in {database} yet: {none}") from error
        raise RegistryUnavailableError(f"The model registry cannot be read: {database}: {error}") from error
    if found is None:
        raise NoSuchAliasError(none)


@contextmanager
def _trying(failed: str, meaning: Mapping[str, RegistryError] | None = None) -> Iterator[None]:
    """Any failure inside is the registry's: ``meaning`` by MLflow's error code, else it is unavailable.

    Stores of artifacts have clients of their own, with errors of their own.
    """
    try:
        yield
    except RegistryError:
        raise
    except Exception as error:
        known = (meaning or {}).get(getattr(error, "error_code", ""))
        reason = (str(error) or type(error).__name__).splitlines()[0]
        reason = re.sub(r"//[^/@\s]+@", "//", reason)  # an address may hold a password
        reason = re.sub(r" object at 0x[0-9a-f]+", "", reason)  # the same reason twice is the same text
        raise (known or RegistryUnavailableError(f"{failed}: {reason}")) from error
