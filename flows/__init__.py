"""Prefect flows: one file each, wiring only. The functions that a flow calls belong to holdfast/.

Importing a flow changes neither the environment nor the file system. `python -m flows.NAME` is the exception: Prefect
creates its home folder and reports its use while it is imported, so the environment has to be complete before. A worker
is started with that environment (prefect.yaml); each flow calls :func:`configure` again for a worker that was not.
"""

import os
import sys
from pathlib import Path

from feature_repo.private_files import restrict_data_folder
from feature_repo.settings import Settings, apply_environment
from holdfast.runtime.prefect_access import SERVER_PASSWORD, access_variables


def configure() -> Settings:
    """Complete the environment of this process, create Prefect's home folder, and read the settings.

    Variables that are set already stay as they are.

    Returns:
        The settings of this environment.
    """
    apply_environment()
    settings = Settings.from_environment()
    restrict_data_folder(settings.data)
    if SERVER_PASSWORD not in os.environ:
        for name, value in access_variables(settings, os.environ).items():
            os.environ.setdefault(name, value)
    # Without it Prefect's server restarts again and again, and reports nothing, if the parent of its home is missing.
    Path(os.environ["PREFECT_HOME"]).expanduser().mkdir(parents=True, exist_ok=True)
    return settings


def inspects_only(arguments: list[str]) -> bool:
    """Return whether a command line asks for a first look, which starts no Prefect and writes nothing.

    Args:
        arguments: Options of the command line.

    Returns:
        True with ``--inspect``.
    """
    return any(argument.partition("=")[0] == "--inspect" for argument in arguments)


def _runs_as_command() -> bool:
    """Return True while Python locates the module of ``python -m flows.NAME``; only then is sys.argv[0] "-m"."""
    return sys.argv[0] == "-m" and not inspects_only(sys.argv[1:])


if _runs_as_command():
    configure()
