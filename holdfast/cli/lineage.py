"""Command `python -m holdfast lineage`: history of a model version, or of a batch."""

import sys
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Console

from feature_repo.settings import Settings
from holdfast.cli.options import ModelOption
from holdfast.models.declaration import CHURN, load_declaration


def lineage(
    version: Annotated[str | None, typer.Argument(help="A version number, `champion` or `challenger`.")] = None,
    batch: Annotated[str | None, typer.Option(help="Id of a batch, or its first characters.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the complete history as JSON.")] = False,
    model: ModelOption = CHURN,
) -> None:
    """Show the history of a model version or of a batch.

    The history of a version has its inputs and its later events, the history of a batch the versions of all models that
    were trained on it.
    """
    from holdfast.lineage.batch_history import load_batch_history
    from holdfast.lineage.version_history import load_version_history
    from holdfast.reporting.lineage_tree import build_batch_tree, build_version_tree
    from holdfast.training.mlflow_client import open_registry

    if (version is None) == (batch is None):
        raise typer.BadParameter("give either a version or --batch")
    settings = Settings.from_environment()
    client = open_registry(settings, load_declaration(model).registered_name)
    history: Any
    if version is not None:
        history = load_version_history(client, settings, version)
        tree = build_version_tree(history)
    else:
        history = load_batch_history(settings, str(batch))
        tree = build_batch_tree(history)
    if as_json:
        typer.echo(TypeAdapter(type(history)).dump_json(history, indent=2, by_alias=True).decode())
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(tree)
