"""Artifacts of MLflow runs, read from any artifact store."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from holdfast.core.errors import HoldfastError
from holdfast.models.artifact_sources import require_readable_size, require_source


class RunUnavailableError(HoldfastError):
    """The run of a version, or its artifacts, cannot be read."""


def read_file(client: MlflowClient, run_id: str, name: str) -> bytes:
    """Read an artifact of a run.

    The artifact is downloaded into a temporary folder: without a folder MLflow would leave the file behind.

    Args:
        client: MLflow client.
        run_id: Run.
        name: Path of the artifact within the run.

    Returns:
        The content.

    Raises:
        MlflowException, OSError: There is no such artifact, or the store cannot be read.
        NotServableError: The registry names another address than that of the store, or the file is too large.
    """
    _require_source(client, run_id, [name])
    with tempfile.TemporaryDirectory(prefix="holdfast-run-") as folder:
        path = Path(client.download_artifacts(run_id, name, folder))
        require_readable_size(path)
        return path.read_bytes()


def read_files(client: MlflowClient, run_id: str, names: Collection[str]) -> dict[str, bytes]:
    """Read several artifacts of a run.

    Args:
        client: MLflow client.
        run_id: Run.
        names: Paths of the artifacts within the run.

    Returns:
        Name to content, without the names that the run does not have.

    Raises:
        RunUnavailableError: There is no such run, or its artifacts cannot be read.
        NotServableError: The registry names another address than that of the store, or a file is too large.
    """
    try:
        _require_source(client, run_id, names)
        existing = {item.path for item in client.list_artifacts(run_id)}
        return {name: read_file(client, run_id, name) for name in names if name in existing}
    except (MlflowException, OSError) as error:
        raise RunUnavailableError(
            f"The files of MLflow run {run_id} cannot be read: {error}. Restore the run or its artifacts."
        ) from error


def _require_source(client: MlflowClient, run_id: str, names: Collection[str]) -> None:
    """Check the addresses of artifacts before MLflow requests them: a registry can be changed."""
    root = client.get_run(run_id).info.artifact_uri
    for name in names:
        require_source(f"{root}/{name}", client.tracking_uri)
