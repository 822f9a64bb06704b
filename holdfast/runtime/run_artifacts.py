"""The files of a run, read from wherever its artifacts are."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from holdfast.core.errors import HoldfastError


class RunUnavailableError(HoldfastError):
    """The run of a version cannot be read any more."""


def read_file(client: MlflowClient, run_id: str, name: str) -> bytes:
    """The content of one file. Without a folder to put it into, MLflow would leave it in one that nobody removes.

    Raises:
        MlflowException, OSError: There is no such file, or it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-run-") as folder:
        return Path(client.download_artifacts(run_id, name, folder)).read_bytes()


def read_files(client: MlflowClient, run_id: str, names: Collection[str]) -> dict[str, bytes]:
    """The content of those of the named files that the run has.

    Raises:
        RunUnavailableError: There is no such run, or its artifacts are gone.
    """
    try:
        there = {item.path for item in client.list_artifacts(run_id)}
        return {name: read_file(client, run_id, name) for name in names if name in there}
    except (MlflowException, OSError) as error:
        raise RunUnavailableError(
            f"The files of MLflow run {run_id} cannot be read: {error}. Restore the run or its artifacts."
        ) from error
