"""Command `python -m holdfast reproduce`: repetition of a training from its lineage."""

import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from feature_repo.settings import Settings
from holdfast.cli.options import ModelOption
from holdfast.models.declaration import CHURN, load_declaration


def reproduce(
    version: Annotated[str, typer.Argument(help="A version number, `champion` or `challenger`.")],
    model: ModelOption = CHURN,
) -> None:
    """Train a version again and compare its predictions.

    The training runs in a clean process; exit code 0 if all predictions are identical to the last bit. Registry, data
    folder and online store are not changed.
    """
    from holdfast.lineage import reproduction
    from holdfast.reporting.console import format_reproduction
    from holdfast.training.mlflow_client import open_registry

    console, settings, start = (
        Console(highlight=False, soft_wrap=True),
        Settings.from_environment(),
        time.perf_counter(),
    )
    client = open_registry(settings, load_declaration(model).registered_name)
    with console.status("reading the records of the version") as status:
        recorded = reproduction.load_recorded_version(client, version)
        result = reproduction.reproduce_version(settings, recorded, lambda activity: status.update(escape(activity)))
    console.print(format_reproduction(result, client.model_name, time.perf_counter() - start))
    sys.exit(0 if result.identical else 1)
