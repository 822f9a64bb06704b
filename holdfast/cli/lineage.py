"""Lineage, both ways: `python -m holdfast lineage VERSION`, `python -m holdfast lineage --batch BATCH_ID`"""

import sys
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Console

from feature_repo.settings import load_settings


def lineage(
    version: Annotated[str | None, typer.Argument(help="A number, `champion` or `challenger`.")] = None,
    batch: Annotated[str | None, typer.Option(help="A batch's id, or how it begins.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: everything, nothing shortened.")] = False,
) -> None:
    """From a model version to all that it was made of and what became of it; from a batch to every version of it."""
    from holdfast.lineage.batch_history import load_batch_history
    from holdfast.lineage.version_history import load_version_history
    from holdfast.model_versions.aliases import open_registry
    from holdfast.reporting.lineage_tree import build_batch_tree, build_version_tree

    if (version is None) == (batch is None):
        raise typer.BadParameter("give either a version or --batch")
    settings = load_settings()
    client = open_registry(settings)
    history: Any
    if version is not None:
        history, tree = (found := load_version_history(client, settings, version)), build_version_tree(found)
    else:
        history, tree = (touched := load_batch_history(client, settings, str(batch))), build_batch_tree(touched)
    if as_json:
        typer.echo(TypeAdapter(type(history)).dump_json(history, indent=2, by_alias=True).decode())
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(tree)
