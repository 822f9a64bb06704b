"""Command `python -m holdfast plan`: changes of the feature definitions of this checkout."""

from typing import Annotated

import typer

from feature_repo.settings import Settings


def plan(
    against: Annotated[
        str | None, typer.Option(help="Id of a version of the feature definitions; default: the applied definitions.")
    ] = None,
) -> None:
    """Show how the feature definitions of this checkout differ from those in Feast's registry.

    `feast plan` decides the same, but prints each changed object as a whole. Nothing is changed.
    """
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.definition_diff import describe_contents, describe_definitions, diff_definitions
    from holdfast.feature_store.definition_versions import open_version
    from holdfast.feature_store.feast_registry import collect_definitions

    settings = Settings.from_environment()
    store = open_version(settings, against) if against else open_store()
    typer.echo(
        "\n".join(diff_definitions(describe_definitions(store), describe_contents(collect_definitions())))
        or "No changes"
    )
